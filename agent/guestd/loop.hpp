#pragma once

#include <sys/epoll.h>

#include <cstdint>

namespace fireclaw::guestd {

/// Called when a descriptor may have become readable or writable.
class Watcher {
 public:
  virtual void ready(std::uint32_t events) = 0;

 protected:
  ~Watcher() = default;
};

/// The one epoll instance. Everything is edge-triggered: watchers read or write until EAGAIN, or remember that they
/// have not. (A virtio-serial port reports a hang-up for as long as nobody is connected on the host.)
class Loop {
 public:
  Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;
  ~Loop();

  /// `watcher` must stay until unwatch(). False, with errno set, for descriptors that cannot be polled.
  bool watch(int fd, Watcher& watcher);
  /// To be called before `fd` is closed. Events already fetched for this watcher are dropped.
  void unwatch(int fd, const Watcher& watcher);
  /// Waits for events until `timeout_ms` (-1: for ever) and hands them out.
  void run_once(int timeout_ms);

 private:
  static constexpr int batch = 32;
  int epoll_;
  epoll_event events_[batch];
  int next_ = 0;
  int count_ = 0;
};

/// Milliseconds of the monotonic clock.
std::int64_t now_ms();

}  // namespace fireclaw::guestd
