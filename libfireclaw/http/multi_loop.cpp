#include "http/multi_loop.hpp"

#include <sys/epoll.h>
#include <sys/timerfd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <new>
#include <span>

namespace fireclaw::http {

Failure failure_of(CURLcode code) {
  switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT: return Failure::Unreachable;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_ISSUER_ERROR: return Failure::Untrusted;
    case CURLE_OPERATION_TIMEDOUT: return Failure::TimedOut;
    default: return Failure::BrokenOff;
  }
}

MultiLoop::MultiLoop()
    : epoll_{sys::check(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1")},
      timer_{sys::check(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK), "timerfd_create")},
      multi_{curl_.multi_init()} {
  if (!multi_) throw std::bad_alloc{};
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = timer_.get();
  sys::check(::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, timer_.get(), &event), "epoll_ctl");
  curl_.multi_setopt(multi_.get(), CURLMOPT_SOCKETFUNCTION, &on_socket);
  curl_.multi_setopt(multi_.get(), CURLMOPT_SOCKETDATA, this);
  curl_.multi_setopt(multi_.get(), CURLMOPT_TIMERFUNCTION, &on_timer);
  curl_.multi_setopt(multi_.get(), CURLMOPT_TIMERDATA, this);
}

void MultiLoop::watch(curl_socket_t socket, std::uint32_t events) {
  if (events == 0) {
    // The socket may be closed already, and gone from the set by that.
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, socket, nullptr);
    return;
  }
  epoll_event event{};
  event.data.fd = socket;
  event.events = events;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, socket, &event) == 0) return;
  if (errno != ENOENT) sys::throw_errno("epoll_ctl");
  sys::check(::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, socket, &event), "epoll_ctl");
}

void MultiLoop::set_timer(long milliseconds) {
  itimerspec when{};
  if (milliseconds > 0) {
    when.it_value.tv_sec = milliseconds / 1000;
    when.it_value.tv_nsec = milliseconds % 1000 * 1'000'000;
  } else if (milliseconds == 0) {
    when.it_value.tv_nsec = 1;
  }
  sys::check(::timerfd_settime(timer_.get(), 0, &when, nullptr), "timerfd_settime");
}

int MultiLoop::on_socket(CURL* /*easy*/, curl_socket_t socket, int what, void* user, void* /*of_socket*/) noexcept {
  std::uint32_t events = 0;
  if (what == CURL_POLL_IN || what == CURL_POLL_INOUT) events |= EPOLLIN;
  if (what == CURL_POLL_OUT || what == CURL_POLL_INOUT) events |= EPOLLOUT;
  try {
    static_cast<MultiLoop*>(user)->watch(socket, events);
    return 0;
  } catch (...) {
    return -1;
  }
}

int MultiLoop::on_timer(CURLM* /*multi*/, long milliseconds, void* user) noexcept {
  try {
    static_cast<MultiLoop*>(user)->set_timer(milliseconds);
    return 0;
  } catch (...) {
    return -1;
  }
}

void MultiLoop::run() {
  std::array<epoll_event, 64> events{};
  const int count = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), 0);
  int running = 0;
  for (int i = 0; i < count; ++i) {
    const auto& event = events[static_cast<std::size_t>(i)];
    if (event.data.fd == timer_.get()) {
      std::uint64_t expired = 0;
      static_cast<void>(sys::read_some(timer_.get(), std::as_writable_bytes(std::span{&expired, 1})));
      curl_.multi_socket_action(multi_.get(), CURL_SOCKET_TIMEOUT, 0, &running);
      continue;
    }
    int mask = 0;
    if ((event.events & EPOLLIN) != 0) mask |= CURL_CSELECT_IN;
    if ((event.events & EPOLLOUT) != 0) mask |= CURL_CSELECT_OUT;
    if ((event.events & (EPOLLERR | EPOLLHUP)) != 0) mask |= CURL_CSELECT_ERR;
    curl_.multi_socket_action(multi_.get(), event.data.fd, mask, &running);
  }
}

}  // namespace fireclaw::http
