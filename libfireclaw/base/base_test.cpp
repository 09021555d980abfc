#include <doctest/doctest.h>

#include <limits>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.hpp"
#include "base/deadline.hpp"
#include "base/logger.hpp"
#include "base/scope.hpp"
#include "base/sync.hpp"
#include "fireclaw/error.hpp"
#include "fireclaw/log.hpp"

using namespace std::chrono_literals;
using fireclaw::Deadline;
using fireclaw::Error;
using fireclaw::ErrorCode;

TEST_CASE("an error reads as its contexts, outermost first, then its message") {
  Error error{ErrorCode::NotFound, "no image named 'x'"};
  CHECK(std::string{error.what()} == "no image named 'x'");
  error.add_context("load template 'bot'");
  error.add_context("start agent 'anna'");
  CHECK(std::string{error.what()} == "start agent 'anna': load template 'bot': no image named 'x'");
  CHECK(error.message() == "no image named 'x'");
  CHECK(error.contexts() == std::vector<std::string>{"load template 'bot'", "start agent 'anna'"});
  CHECK(error.code() == ErrorCode::NotFound);
  CHECK(error.cause() == nullptr);
}

TEST_CASE("an error is one line of text, whatever it quotes") {
  Error error{ErrorCode::Guest, "a\nb\x1b[31m \xc2\x9b \xff \x7f größer"};
  error.add_context("look at '\x9d'");
  CHECK(std::string{error.what()} == "look at '\\x9d': a\\x0ab\\x1b[31m \\xc2\\x9b \\xff \\x7f größer");
  CHECK(error.message() == "a\\x0ab\\x1b[31m \\xc2\\x9b \\xff \\x7f größer");
}

TEST_CASE("an error keeps its cause and can be copied to another thread") {
  std::exception_ptr stored;
  try {
    try {
      throw std::runtime_error{"broken pipe"};
    } catch (...) {
      throw Error{ErrorCode::Vmm, "the engine went away", std::current_exception()};
    }
  } catch (const Error& error) {
    const Error copy = error;
    stored = std::make_exception_ptr(copy);
  }
  std::string seen;
  std::thread{[&] {
    try {
      std::rethrow_exception(stored);
    } catch (const Error& error) {
      try {
        std::rethrow_exception(error.cause());
      } catch (const std::runtime_error& cause) {
        seen = std::string{error.what()} + " <- " + cause.what();
      }
    }
  }}.join();
  CHECK(seen == "the engine went away <- broken pipe");
}

TEST_CASE("every code and level has a name of its own") {
  const std::vector<std::string_view> names = {"invalid_argument",
                                               "not_found",
                                               "already_exists",
                                               "invalid_state",
                                               "permission_denied",
                                               "unsupported",
                                               "timeout",
                                               "cancelled",
                                               "io",
                                               "vmm",
                                               "guest",
                                               "corrupt",
                                               "internal"};
  for (std::size_t i = 0; i < names.size(); ++i) CHECK(to_string(static_cast<ErrorCode>(i)) == names[i]);
  CHECK(to_string(fireclaw::LogLevel::Debug) == "debug");
  CHECK(to_string(fireclaw::LogLevel::Info) == "info");
  CHECK(to_string(fireclaw::LogLevel::Warning) == "warning");
  CHECK(to_string(fireclaw::LogLevel::Error) == "error");
}

TEST_CASE("a deadline too far away for the clock means never") {
  CHECK(Deadline::after(std::chrono::nanoseconds::max()).is_never());
  CHECK(Deadline::after(std::optional{std::chrono::milliseconds::max()}).is_never());
  CHECK(Deadline::after(std::optional<std::chrono::milliseconds>{}).is_never());
  CHECK_FALSE(Deadline::after(std::chrono::hours{24 * 365 * 100}).is_never());
}

TEST_CASE("a limit below zero has passed already") {
  CHECK(Deadline::after(-1ns).passed());
  CHECK(Deadline::after(std::chrono::nanoseconds::min()).passed());
  CHECK(Deadline::after(std::optional{std::chrono::milliseconds::min()}).passed());
  CHECK(Deadline::after(0ns).remaining() == 0ns);
  CHECK(Deadline::after(0ns).poll_timeout_ms() == 0);
}

TEST_CASE("never has no time left to tell and polls without end") {
  CHECK(Deadline::never().remaining() == std::nullopt);
  CHECK(Deadline::never().poll_timeout_ms() == -1);
  CHECK_FALSE(Deadline::never().passed());
}

TEST_CASE("poll timeouts are rounded up and bounded") {
  const Deadline soon = Deadline::after(900us);
  const int timeout = soon.poll_timeout_ms();
  CHECK((timeout == 1 || soon.passed()));
  CHECK(Deadline::after(std::chrono::hours{24 * 365}).poll_timeout_ms() == std::numeric_limits<int>::max());
}

TEST_CASE("sooner is the earlier of two, and never is the latest of all") {
  const auto now = Deadline::Clock::now();
  const Deadline early = Deadline::at(now + 1h);
  const Deadline late = Deadline::at(now + 5h);
  CHECK(*early.sooner(late).remaining() <= 1h);
  CHECK(*late.sooner(early).remaining() <= 1h);
  CHECK(*late.sooner(Deadline::never()).remaining() > 4h);
  CHECK(*Deadline::never().sooner(late).remaining() > 4h);
  CHECK(Deadline::never().sooner(Deadline::never()).is_never());
}

TEST_CASE("checking a passed deadline names what was waited for") {
  Deadline::after(1h).check("the boot");
  Deadline::never().check("the boot");
  try {
    Deadline::after(0ns).check("the boot");
    FAIL("no error");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::Timeout);
    CHECK(std::string{error.what()} == "the boot timed out");
  }
}

TEST_CASE("a rollback undoes in reverse order, whatever a step throws") {
  std::vector<int> undone;
  {
    fireclaw::Rollback rollback;
    rollback.push([&] { undone.push_back(1); });
    rollback.push([&] {
      undone.push_back(2);
      throw std::runtime_error{"cannot undo"};
    });
    rollback.push([&] { undone.push_back(3); });
  }
  CHECK(undone == std::vector{3, 2, 1});
}

TEST_CASE("a committed rollback undoes nothing") {
  int undone = 0;
  {
    fireclaw::Rollback rollback;
    rollback.push([&] { ++undone; });
    rollback.commit();
  }
  CHECK(undone == 0);
}

TEST_CASE("a scope guard runs once unless released") {
  int runs = 0;
  {
    const fireclaw::ScopeGuard guard{[&] { ++runs; }};
  }
  CHECK(runs == 1);
  {
    fireclaw::ScopeGuard guard{[&] { ++runs; }};
    guard.release();
  }
  CHECK(runs == 1);
}

TEST_CASE("a synchronised value is changed by one thread at a time") {
  fireclaw::Sync<int> counter{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 1000; ++n) counter.with([](int& value) { ++value; });
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(std::as_const(counter).with([](const int& value) { return value; }) == 4000);
}

TEST_CASE("a logger without a sink drops its messages") {
  fireclaw::Logger{}.error("nobody hears this");
  std::vector<std::pair<fireclaw::LogLevel, std::string>> lines;
  const fireclaw::Logger logger{
      [&](fireclaw::LogLevel level, std::string_view message) { lines.emplace_back(level, message); }};
  logger.debug("a");
  logger.info("b");
  logger.warning("c");
  logger.error("d");
  CHECK(lines.size() == 4);
  CHECK(lines[0] == std::pair{fireclaw::LogLevel::Debug, std::string{"a"}});
  CHECK(lines[3] == std::pair{fireclaw::LogLevel::Error, std::string{"d"}});
}

TEST_CASE("the system clock moves forward") {
  const fireclaw::SystemClock clock;
  const auto before = clock.steady_now();
  CHECK(clock.steady_now() >= before);
  CHECK(clock.wall_now().time_since_epoch() > std::chrono::hours{24 * 365 * 50});
}
