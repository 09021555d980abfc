#include "crew/breaker.hpp"

#include <doctest/doctest.h>

#include <chrono>

using namespace fireclaw::overseer;
using std::chrono::seconds;

TEST_CASE("a person who repeats a mistake again and again is soon not answered, until there was silence") {
  Breaker breaker;
  TimePoint now{seconds{1000}};
  for (int i = 0; i < 3; ++i) CHECK(breaker.allows("bot", "!hm", true, now += seconds{1}));
  for (int i = 0; i < 100; ++i) CHECK_FALSE(breaker.allows("bot", "!hm", true, now += seconds{1}));
  CHECK_FALSE(breaker.allows("bot", "!list", false, now += seconds{1}));
  CHECK(breaker.allows("alice", "!hm", true, now));
  CHECK_FALSE(breaker.allows("bot", "!list", false, now += seconds{60}));
  CHECK(breaker.allows("bot", "!list", false, now += seconds{61}));
}

TEST_CASE("a person who makes only mistakes is soon not answered, and any other is") {
  Breaker breaker;
  TimePoint now{seconds{1000}};
  int answered = 0;
  for (int i = 0; i < 100; ++i) answered += breaker.allows("bot", "!" + std::to_string(i), true, now) ? 1 : 0;
  CHECK(answered == 12);
  for (int i = 0; i < 100; ++i) CHECK(breaker.allows("alice", "!" + std::to_string(i), i % 3 != 0, now));
}

TEST_CASE("a command that works is answered for long, and not for ever") {
  Breaker breaker;
  const TimePoint now{seconds{1000}};
  int answered = 0;
  for (int i = 0; i < 1000; ++i) answered += breaker.allows("bot", "!list", false, now) ? 1 : 0;
  CHECK(answered == 60);
}
