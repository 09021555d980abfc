#include "irc/pacing.hpp"

#include <doctest/doctest.h>

using namespace fireclaw::overseer;
using std::chrono::milliseconds;
using std::chrono::seconds;

TEST_CASE("a burst leaves at once and the rest at its interval") {
  const TimePoint start{};
  Pacer pacer{3, Seconds{1}, start};
  for (int i = 0; i < 3; ++i) CHECK(pacer.take(start));
  CHECK_FALSE(pacer.take(start));
  CHECK(pacer.ready_at(start) == start + seconds{1});
  CHECK_FALSE(pacer.take(start + milliseconds{990}));
  CHECK(pacer.take(start + seconds{1}));
  CHECK_FALSE(pacer.take(start + seconds{1}));
  // A long silence earns no more than the burst.
  int taken = 0;
  while (pacer.take(start + seconds{1000})) ++taken;
  CHECK(taken == 3);
}

TEST_CASE("what is sent out of turn is paid for later") {
  const TimePoint start{};
  Pacer pacer{2, Seconds{1}, start};
  for (int i = 0; i < 10; ++i) pacer.charge(start);
  CHECK_FALSE(pacer.take(start + seconds{2}));
  CHECK(pacer.take(start + seconds{3}));
}

TEST_CASE("what is sent out of turn is never owed for longer than a burst") {
  const TimePoint start{};
  for (const int charges : {3, 4, 5, 50}) {
    CAPTURE(charges);
    Pacer pacer{2, Seconds{1}, start};
    for (int i = 0; i < charges; ++i) pacer.charge(start);
    const auto ready = start + seconds{charges == 3 ? 2 : 3};
    CHECK(pacer.ready_at(start) == ready);
    CHECK_FALSE(pacer.take(ready - milliseconds{1}));
    CHECK(pacer.take(ready));
  }
}

TEST_CASE("a flood is forgiven once more than an hour has passed") {
  const TimePoint start{};
  Pacer pacer{4, Seconds{1}, start};
  pacer.slow_down(start + seconds{10});
  pacer.restart(start + seconds{3610});
  CHECK(pacer.slowness() == 2);
  pacer.restart(start + seconds{3610} + milliseconds{1});
  CHECK(pacer.slowness() == 1);
}

TEST_CASE("a server that was flooded is spoken to more slowly, for an hour") {
  const TimePoint start{};
  Pacer pacer{4, Seconds{1}, start};
  pacer.slow_down(start);
  pacer.restart(start);
  CHECK(pacer.take(start));
  CHECK(pacer.take(start));
  CHECK_FALSE(pacer.take(start));
  CHECK_FALSE(pacer.take(start + seconds{1}));
  CHECK(pacer.take(start + seconds{2}));
  for (int i = 0; i < 10; ++i) pacer.slow_down(start);
  CHECK(pacer.slowness() == 8);
  pacer.restart(start + seconds{3601});
  CHECK(pacer.slowness() == 1);
}

TEST_CASE("waits grow to a limit, each a bit by chance") {
  Backoff backoff{Seconds{1}, Seconds{60}, 2, 1};
  double longest = 1;
  for (int i = 0; i < 20; ++i) {
    const auto wait = backoff.next().count();
    CHECK(wait >= longest / 2);
    CHECK(wait <= longest);
    longest = std::min(60.0, longest * 2);
  }
  backoff.reset();
  CHECK(backoff.next().count() <= 1);
  backoff.give_up();
  CHECK(backoff.next().count() >= 30);
}
