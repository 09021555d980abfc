#include "sys/poll.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <string>

namespace fireclaw::sys {

EventFd::EventFd() : fd_{check(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "create an eventfd")} {}

void EventFd::set() noexcept {
  // The write can only fail when the counter is full, and then it is readable already.
  const std::uint64_t one = 1;
  retry([&] { return ::write(fd_.get(), &one, sizeof one); });
}

void EventFd::clear() noexcept {
  std::uint64_t count = 0;
  retry([&] { return ::read(fd_.get(), &count, sizeof count); });
}

StopFd::StopFd(std::stop_token token) : token_{std::move(token)} {
  if (!token_.stop_possible()) return;
  event_.emplace();
  callback_.emplace(token_, Notify{&*event_});
}

WaitResult wait_fd(int fd, short events, Deadline deadline, const std::stop_token& stop) {
  const StopFd stop_fd{stop};
  std::array<pollfd, 2> polled{pollfd{fd, events, 0}, pollfd{stop_fd.fd(), POLLIN, 0}};
  for (;;) {
    if (stop_fd.requested()) return WaitResult::Stopped;
    const int ready = ::poll(polled.data(), polled.size(), deadline.poll_timeout_ms());
    if (ready < 0 && errno != EINTR) throw_errno("poll");
    if (stop_fd.requested()) return WaitResult::Stopped;
    if (ready > 0) {
      if ((polled[0].revents & POLLNVAL) != 0) throw system_error(EBADF, "poll");
      if (polled[0].revents != 0) return WaitResult::Ready;
    }
    if (ready <= 0 && deadline.passed()) return WaitResult::Timeout;
  }
}

void require_fd(int fd, short events, Deadline deadline, std::string_view what, const std::stop_token& stop) {
  switch (wait_fd(fd, events, deadline, stop)) {
    case WaitResult::Ready: return;
    case WaitResult::Timeout: throw Error{ErrorCode::Timeout, std::string{what} + " timed out"};
    case WaitResult::Stopped: throw Error{ErrorCode::Cancelled, std::string{what} + " cancelled"};
  }
}

}  // namespace fireclaw::sys
