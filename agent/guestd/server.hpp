#pragma once

#include <memory>
#include <vector>

#include "connection.hpp"
#include "loop.hpp"
#include "machine.hpp"
#include "processes/services.hpp"

namespace fireclaw::guestd {

/// Serves any number of connections, reaps every child, and gives services their turn, in one thread.
class Server final : private Watcher {
 public:
  Server(Loop& loop, Services& services);
  ~Server();

  void add(Machine& machine, OwnedFd fd, Connection::Kind kind);
  [[nodiscard]] bool has_connections() const { return !connections_.empty(); }
  /// Waits for something to happen, at most until `deadline` (now_ms() time; -1: no limit), and deals with it.
  void run_once(std::int64_t deadline);
  /// Whether there are no children left.
  [[nodiscard]] static bool childless();

 private:
  void ready(std::uint32_t events) override;
  void reap();
  void service();

  Loop& loop_;
  Services& services_;
  OwnedFd signals_;
  std::vector<std::unique_ptr<Connection>> connections_;
  bool child_ended_ = true;
};

}  // namespace fireclaw::guestd
