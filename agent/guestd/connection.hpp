#pragma once

#include <cstdint>

#include "guest/tree.hpp"
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
  /// Moves bytes both ways until neither end can go on.
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
  bool closed_ = false;
};

}  // namespace fireclaw::guestd
