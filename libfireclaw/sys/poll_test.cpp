#include "sys/poll.hpp"

#include <doctest/doctest.h>
#include <poll.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "sys/testing/support.hpp"

using namespace fireclaw;
using namespace fireclaw::sys;
using namespace fireclaw::sys::testing;
using namespace std::chrono_literals;

namespace {

/// Interrupts the system calls of the thread that made it, every few milliseconds.
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
    REQUIRE(::timer_settime(timer_, 0, &often, nullptr) == 0);
    count = 0;
  }
  Interruptions(const Interruptions&) = delete;
  Interruptions& operator=(const Interruptions&) = delete;
  ~Interruptions() {
    ::timer_delete(timer_);
    ::sigaction(SIGUSR1, &before_, nullptr);
  }
  static volatile sig_atomic_t count;

 private:
  timer_t timer_{};
  struct sigaction before_ {};
};
volatile sig_atomic_t Interruptions::count = 0;

}  // namespace

TEST_CASE("a wait that signals interrupt lasts until its deadline, and not longer") {
  const Pipe pipe = make_pipe();
  const Interruptions interruptions;
  const auto start = std::chrono::steady_clock::now();
  CHECK(wait_fd(pipe.read.get(), POLLIN, Deadline::after(120ms)) == WaitResult::Timeout);
  const auto waited = std::chrono::steady_clock::now() - start;
  CHECK(waited >= 120ms);
  CHECK(waited < 10s);
  CHECK(Interruptions::count > 2);
}

TEST_CASE("a wait that signals interrupt ends when there is something to read") {
  Pipe pipe = make_pipe();
  const Interruptions interruptions;
  std::thread writer{[&] {
    // The other thread has been interrupted by then.
    while (Interruptions::count < 3) std::this_thread::yield();
    write_all(pipe.write.get(), "x");
  }};
  CHECK(wait_fd(pipe.read.get(), POLLIN, patience()) == WaitResult::Ready);
  writer.join();
}

TEST_CASE("a deadline that has passed still finds what is ready") {
  const Pipe pipe = make_pipe();
  CHECK(wait_fd(pipe.read.get(), POLLIN, Deadline::after(0ms)) == WaitResult::Timeout);
  write_all(pipe.write.get(), "x");
  CHECK(wait_fd(pipe.read.get(), POLLIN, Deadline::after(0ms)) == WaitResult::Ready);
}

TEST_CASE("a stop wins over what is ready") {
  const Pipe pipe = make_pipe();
  write_all(pipe.write.get(), "x");
  std::stop_source stop;
  stop.request_stop();
  CHECK(wait_fd(pipe.read.get(), POLLIN, patience(), stop.get_token()) == WaitResult::Stopped);
}
