#pragma once

#include <cstdint>

#include "guest/tree/tree.hpp"
#include "loop.hpp"
#include "session.hpp"

namespace fireclaw::guestd {

/// A stream to the host and the session on it.
class Connection final : public Watcher {
 public:
  enum class Kind {
    Socket,  ///< over once the host hangs up
    Port,    ///< virtio-serial: stays, and the next host process may come at any time
  };

  Connection(Machine& machine, Loop& loop, OwnedFd fd, Kind kind);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection();

  void ready(std::uint32_t events) override;
  /// Moves bytes both ways until neither end can continue.
  void service();
  [[nodiscard]] bool closed() const { return closed_; }
  [[nodiscard]] Session& session() { return session_; }

 private:
  bool read_some();
  bool write_some();
  void hang_up();

  Loop& loop_;
  OwnedFd fd_;
  const Kind kind_;
  Session session_;
  bool readable_ = true;
  bool writable_ = true;
  /// Whether the kernel has noticed the host's end. It can deliver a host's first bytes before that: the two come over
  /// different queues, and a restore makes this order likely. Until then the port reads as ended, but its session
  /// begins.
  bool host_known_ = false;
  bool closed_ = false;
};

}  // namespace fireclaw::guestd
