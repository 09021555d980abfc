#include "irc/outbox.hpp"

#include <doctest/doctest.h>

using namespace fireclaw::overseer;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

using Lines = std::vector<std::string>;
const TimePoint start{};

struct Fixture {
  Pacer pacer{2, Seconds{1}, start};
  IrcOutbox outbox{pacer};
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "urgent lines go at once, and what comes after pays for them") {
  for (const auto* line : {"PONG 1", "PONG 2", "PONG 3"}) outbox.urgent(line);
  outbox.text("#a", "hello");
  CHECK(outbox.take(start, false) == Lines{"PONG 1", "PONG 2", "PONG 3"});
  CHECK(outbox.waits());
  CHECK(outbox.ready_at(start) == start + seconds{2});
  CHECK(outbox.take(start + milliseconds{1990}, false).empty());
  CHECK(outbox.take(start + seconds{2}, false) == Lines{"hello"});
  CHECK_FALSE(outbox.waits());
}

TEST_CASE_FIXTURE(Fixture, "while only urgent lines may leave, all others wait") {
  outbox.command("JOIN #a");
  outbox.text("#a", "hello");
  outbox.urgent("NICK ada");
  CHECK(outbox.take(start, true) == Lines{"NICK ada"});
  CHECK(outbox.waits());
}

TEST_CASE_FIXTURE(Fixture, "commands go before text, and of text each target has its turn") {
  pacer.set(10, Seconds{1}, start);
  for (const auto* line : {"a1", "a2", "a3"}) CHECK(outbox.text("#a", line));
  CHECK(outbox.text("#b", "b1"));
  outbox.command("WHO #a");
  CHECK(outbox.take(start, false) == Lines{"WHO #a", "a1", "b1", "a2", "a3"});
}

TEST_CASE_FIXTURE(Fixture,
                  "a target has a hundred lines at most, fifty targets wait at most, and forgetting makes room") {
  for (int line = 0; line < 100; ++line) CHECK(outbox.text("#a", "line"));
  CHECK_FALSE(outbox.text("#a", "one too many"));
  for (int target = 1; target < 50; ++target) CHECK(outbox.text("#" + std::to_string(target), "line"));
  CHECK_FALSE(outbox.text("#one-too-many", "line"));
  outbox.forget("#a");
  CHECK(outbox.text("#another", "line"));
  CHECK(outbox.text("#1", "line"));
}
