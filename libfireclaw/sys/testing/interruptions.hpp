#pragma once

#include <doctest/doctest.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <thread>
#include <utility>

namespace fireclaw::sys::testing {

/// Interrupts the system calls of the thread that made it, every few milliseconds. One at a time in a program.
class Interruptions {
 public:
  Interruptions() {
    struct sigaction action {};
    action.sa_handler = [](int) { count = count + 1; };
    ::sigaction(SIGUSR1, &action, &before_);
    sigevent event{};
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = SIGUSR1;
    event._sigev_un._tid = ::gettid();
    REQUIRE(::timer_create(CLOCK_MONOTONIC, &event, &timer_) == 0);
    const timespec pace{0, 3'000'000};
    const itimerspec often{pace, pace};
    count = 0;
    REQUIRE(::timer_settime(timer_, 0, &often, nullptr) == 0);
  }
  Interruptions(const Interruptions&) = delete;
  Interruptions& operator=(const Interruptions&) = delete;
  ~Interruptions() {
    ::timer_delete(timer_);
    ::sigaction(SIGUSR1, &before_, nullptr);
  }

  /// On another thread: until the first one has been interrupted a few times.
  static void await_some() {
    while (count < 3) std::this_thread::yield();
  }
  /// Calls `action` on a thread of its own after that.
  static std::jthread afterwards(std::function<void()> action) {
    return std::jthread{[action = std::move(action)] {
      await_some();
      action();
    }};
  }

  static inline std::atomic<int> count = 0;

 private:
  timer_t timer_{};
  struct sigaction before_ {};
};

}  // namespace fireclaw::sys::testing
