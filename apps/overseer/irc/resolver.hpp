#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "event_loop.hpp"

namespace fireclaw::overseer {

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;

  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  [[nodiscard]] bool is_loopback() const;
};

/// Whether the host, as somebody wrote it, can only be this machine: localhost, 127.0.0.0/8, ::1.
bool is_loopback_name(const std::string& host);

/// Whether the host, as an IRC server shows where somebody comes from, is this machine: localhost, loopback, or an
/// address of one of its interfaces. A machine behind one of its bridges is not.
bool is_own_host(const std::string& host);

/// Looks a host's addresses up without holding up the loop. Destruction drops the answer.
class Lookup {
 public:
  struct Result {
    std::vector<SocketAddress> addresses;
    /// Why there are none.
    std::string problem;
  };

  /// `done` is called on the loop's thread, never from here.
  Lookup(EventLoop& loop, const std::string& host, std::uint16_t port, std::function<void(Result)> done);
  Lookup(const Lookup&) = delete;
  Lookup& operator=(const Lookup&) = delete;
  ~Lookup();

 private:
  struct Shared;
  EventLoop& loop_;
  std::shared_ptr<Shared> shared_;
  EventLoop::Id watching_;
};

}  // namespace fireclaw::overseer
