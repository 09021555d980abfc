#pragma once

#include <chrono>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "base/deadline.hpp"
#include "fireclaw/error.hpp"
#include "guest/session.hpp"
#include "sys/fd.hpp"
#include "sys/process.hpp"
#include "sys/socket.hpp"

namespace fireclaw::guest::testing {

inline Deadline soon() { return Deadline::after(std::chrono::seconds{20}); }

/// The real guestd as an ordinary process, on one end of each of some socket pairs. It ends with this object.
class GuestdProcess {
 public:
  explicit GuestdProcess(int streams = 1) : child_{spawn(streams, streams_)} {}
  GuestdProcess(const GuestdProcess&) = delete;
  GuestdProcess& operator=(const GuestdProcess&) = delete;
  /// Once every host has hung up, guestd ends by itself and ends its services, which a kill would leave behind.
  ~GuestdProcess() {
    streams_.clear();
    try {
      child_.wait(Deadline::after(std::chrono::seconds{5}));
    } catch (const Error&) {
      // The child's own destructor kills what does not end.
    }
  }

  /// The host's end of the next stream.
  sys::Fd take_stream() {
    sys::Fd stream = std::move(streams_.front());
    streams_.pop_front();
    return stream;
  }
  Session open() { return Session::open(take_stream(), {}, {}, soon()); }
  [[nodiscard]] sys::Child& child() { return child_; }

 private:
  static sys::Child spawn(int streams, std::deque<sys::Fd>& host_ends) {
    sys::SpawnSpec spec;
    spec.argv = {FIRECLAW_GUESTD, "--serve-fd"};
    spec.fds = {{2, 2}};
    std::vector<sys::Fd> guest_ends;
    for (int number = 3; number < 3 + streams; ++number) {
      auto [host_end, guest_end] = sys::socket_pair();
      spec.argv.push_back(std::to_string(number));
      spec.fds.emplace_back(guest_end.get(), number);
      host_ends.push_back(std::move(host_end));
      guest_ends.push_back(std::move(guest_end));
    }
    return sys::Child::spawn(spec);
  }

  std::deque<sys::Fd> streams_;
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
