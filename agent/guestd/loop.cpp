#include "loop.hpp"

#include <unistd.h>

#include <ctime>

namespace fireclaw::guestd {

Loop::Loop() : epoll_{epoll_create1(EPOLL_CLOEXEC)} {}

Loop::~Loop() {
  if (epoll_ >= 0) close(epoll_);
}

bool Loop::watch(int fd, Watcher& watcher) {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  event.data.ptr = &watcher;
  return epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) == 0;
}

void Loop::unwatch(int fd, const Watcher& watcher) {
  epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr);
  for (int i = next_; i < count_; ++i)
    if (events_[i].data.ptr == &watcher) events_[i].data.ptr = nullptr;
}

void Loop::run_once(int timeout_ms) {
  const int count = epoll_wait(epoll_, events_, batch, timeout_ms);
  count_ = count > 0 ? count : 0;
  for (next_ = 0; next_ < count_;) {
    const epoll_event event = events_[next_++];
    if (event.data.ptr) static_cast<Watcher*>(event.data.ptr)->ready(event.events);
  }
  next_ = count_ = 0;
}

std::int64_t now_ms() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::int64_t>(now.tv_sec) * 1000 + now.tv_nsec / 1000000;
}

}  // namespace fireclaw::guestd
