#pragma once

#include <cstdint>
#include <optional>
#include <stop_token>

#include "base/deadline.hpp"
#include "sys/fd.hpp"

namespace fireclaw::sys {

/// An eventfd: set() makes it readable, clear() unsets it. set() is safe from any thread and from stop callbacks.
class EventFd {
 public:
  EventFd();
  [[nodiscard]] int fd() const noexcept { return fd_.get(); }
  void set() noexcept;
  void clear() noexcept;

 private:
  Fd fd_;
};

/// Makes a stop token pollable: fd() turns readable when the stop is requested. A token that can never stop costs
/// no descriptor: fd() is then -1, which poll(2) ignores.
class StopFd {
 public:
  explicit StopFd(std::stop_token token);
  StopFd(const StopFd&) = delete;
  StopFd& operator=(const StopFd&) = delete;
  [[nodiscard]] int fd() const noexcept { return event_ ? event_->fd() : -1; }
  [[nodiscard]] bool requested() const noexcept { return token_.stop_requested(); }

 private:
  struct Notify {
    EventFd* event;
    void operator()() const noexcept { event->set(); }
  };
  std::stop_token token_;
  std::optional<EventFd> event_;
  std::optional<std::stop_callback<Notify>> callback_;
};

enum class WaitResult { Ready, Timeout, Stopped };

/// Waits until `fd` has one of `events` (POLLIN, POLLOUT; errors and hang-up count as ready), the deadline passes or a
/// stop is requested. Interrupted waits continue.
WaitResult wait_fd(int fd, short events, Deadline deadline, const std::stop_token& stop = {});

/// wait_fd, throwing Error(Timeout, "<what> timed out") or Error(Cancelled, "<what> cancelled").
void require_fd(int fd, short events, Deadline deadline, std::string_view what, const std::stop_token& stop = {});

}  // namespace fireclaw::sys
