#include "sys/poll.hpp"

#include <doctest/doctest.h>
#include <poll.h>
#include <signal.h>

#include <chrono>
#include <string>
#include <vector>

#include "sys/process.hpp"
#include "sys/socket.hpp"
#include "sys/testing/interruptions.hpp"
#include "sys/testing/support.hpp"

using namespace fireclaw;
using namespace fireclaw::sys;
using namespace fireclaw::sys::testing;
using namespace std::chrono_literals;

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
  const auto writer = Interruptions::afterwards([&] { write_all(pipe.write.get(), "x"); });
  CHECK(wait_fd(pipe.read.get(), POLLIN, patience()) == WaitResult::Ready);
}

TEST_CASE("whatever else is waited for while signals interrupt is waited for to its end") {
  const TempDir folder = temp_dir();
  const Interruptions interruptions;
  SUBCASE("a tool") {
    Pipe input = make_pipe();
    const auto feeder = Interruptions::afterwards([&] { write_all(input.write.get(), "well"); });
    ToolOptions options;
    options.input_fd = input.read.get();
    options.deadline = patience();
    CHECK(run_tool({"/usr/bin/head", "-c", "4"}, options).out == "well");
  }
  SUBCASE("a child, with a deadline and without") {
    for (const auto deadline : {patience(), Deadline::never()}) {
      SpawnSpec spec;
      spec.argv = {"/bin/sleep", "1000"};
      Child child = Child::spawn(spec);
      Interruptions::count = 0;
      const auto killer = Interruptions::afterwards([id = child.id()] { send_signal(id, SIGTERM); });
      CHECK(child.wait(deadline) == ExitStatus{.code = std::nullopt, .signal = SIGTERM});
    }
  }
  SUBCASE("a lock, with a deadline and without") {
    for (const auto deadline : {patience(), Deadline::never()}) {
      auto held = FileLock::try_acquire(folder.path() / "lock", FileLock::Mode::Exclusive);
      REQUIRE(held);
      Interruptions::count = 0;
      const auto holder = Interruptions::afterwards([&] { held.reset(); });
      CHECK_NOTHROW(FileLock::acquire(folder.path() / "lock", FileLock::Mode::Exclusive, deadline, "the lock"));
    }
  }
  SUBCASE("a connection") {
    const Fd listener = unix_listen(folder.path() / "socket");
    const auto client = Interruptions::afterwards([&] { unix_connect(folder.path() / "socket"); });
    CHECK_NOTHROW(unix_accept(listener.get(), patience()));
  }
  SUBCASE("what is read and written without end") {
    Pipe pipe = make_pipe();
    const auto feeder = Interruptions::afterwards([&] { write_all(pipe.write.get(), "x"); });
    std::byte got{};
    CHECK(read_some(pipe.read.get(), {&got, 1}) == 1);
    const std::string much(std::size_t{1} << 20, 'x');
    Interruptions::count = 0;
    const auto reader = Interruptions::afterwards([&] {
      std::vector<std::byte> bytes(65536);
      while (read_some(pipe.read.get(), bytes) > 0) {
      }
    });
    CHECK_NOTHROW(write_all(pipe.write.get(), much));
    const Fd closed = std::move(pipe.write);
  }
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
