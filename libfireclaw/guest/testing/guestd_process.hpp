#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <utility>

#include "base/deadline.hpp"
#include "guest/session.hpp"
#include "sys/fd.hpp"
#include "sys/process.hpp"
#include "sys/socket.hpp"

namespace fireclaw::guest::testing {

inline Deadline soon() { return Deadline::after(std::chrono::seconds{20}); }

/// The real guestd as an ordinary process, on one end of a socket pair. It ends with this object.
class GuestdProcess {
 public:
  GuestdProcess() : GuestdProcess{sys::socket_pair()} {}

  /// The host's end; once.
  sys::Fd take_stream() { return std::move(*std::exchange(stream_, std::nullopt)); }
  Session open() { return Session::open(take_stream(), {}, {}, soon()); }
  [[nodiscard]] sys::Child& child() { return child_; }

 private:
  explicit GuestdProcess(std::pair<sys::Fd, sys::Fd> ends)
      : stream_{std::move(ends.first)}, child_{spawn(ends.second.get())} {}

  static sys::Child spawn(int fd) {
    sys::SpawnSpec spec;
    spec.argv = {FIRECLAW_GUESTD, "--serve-fd", "3"};
    spec.fds = {{2, 2}, {fd, 3}};
    return sys::Child::spawn(spec);
  }

  std::optional<sys::Fd> stream_;
  sys::Child child_;
};

inline ExecOptions sh(std::string line) { return ExecOptions::shell(std::move(line)); }

inline Identity some_identity() {
  Identity identity;
  identity.hostname = "clone-1";
  identity.machine_id = "0123456789abcdef0123456789abcdef";
  return identity;
}

}  // namespace fireclaw::guest::testing
