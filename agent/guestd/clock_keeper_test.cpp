#include "clock_keeper.hpp"

#include <doctest/doctest.h>

#include <cstdlib>

namespace fireclaw::guestd {
namespace {

constexpr std::int64_t second = 1000000000;

/// A guest whose clocks run with the host's until it is paused.
struct Guest {
  std::int64_t host = 1800000000 * second + 123456789;
  std::int64_t real = host;
  std::int64_t monotonic = 5 * second;
  std::int64_t resolution = second;
  ClockKeeper keeper;

  Guest() { keeper.told(); }

  void run(std::int64_t nanoseconds) {
    host += nanoseconds;
    real += nanoseconds;
    monotonic += nanoseconds;
  }
  void pause(std::int64_t nanoseconds) { host += nanoseconds; }
  /// True if the clock was set.
  bool look() {
    // A real-time clock of whole seconds says the last one: the time is up to one later.
    const std::int64_t latest = resolution == 0 ? host : host / resolution * resolution + resolution;
    const auto set = keeper.look({latest, resolution, real, monotonic});
    if (set) real = *set;
    return set.has_value();
  }
  /// Looks every 9.7 s; how often the clock was set.
  int look_for(int times) {
    int set = 0;
    for (int i = 0; i < times; ++i) {
      run(9'700'000'000);
      if (look()) ++set;
    }
    return set;
  }
  [[nodiscard]] std::int64_t wrong_by() const { return std::abs(real - host); }
};

/// Clocks that run only while one of them is read, and lose the processor where a test says so.
struct Readings {
  std::int64_t now = 0;
  int hosts = 0;
  int reals = 0;
  int bad_hosts = 0;
  int bad_reals = 0;
  bool is_there = true;
};
Readings readings;

constexpr Clocks read_clocks{[](ClockSample& sample) {
                               sample.host = readings.now;
                               sample.resolution = second;
                               readings.now += readings.hosts++ < readings.bad_hosts ? 21'000'000 : 20'000'000;
                               return readings.is_there;
                             },
                             [] {
                               const std::int64_t real = readings.now;
                               readings.now += readings.reals++ < readings.bad_reals ? 600'000 : 500'000;
                               return real;
                             },
                             [] { return readings.now; }};

}  // namespace

TEST_CASE("clocks are read again if something came between the readings") {
  readings = {};
  auto sample = read_together(read_clocks);
  REQUIRE(sample);
  CHECK(sample->host == 0);
  CHECK(sample->resolution == second);
  CHECK(sample->real == 20'000'000);
  CHECK(sample->monotonic == 20'500'000);
  CHECK(readings.hosts == 1);

  readings = {};
  readings.bad_hosts = 7;
  sample = read_together(read_clocks);
  REQUIRE(sample);
  CHECK(readings.hosts == 8);
  CHECK(sample->host == 7 * (21'000'000 + 500'000));

  readings = {};
  readings.bad_reals = 7;
  REQUIRE(read_together(read_clocks));
  CHECK(readings.reals == 8);

  readings = {};
  readings.bad_hosts = 4;
  readings.bad_reals = 8;
  CHECK_FALSE(read_together(read_clocks));
  CHECK(readings.hosts == 8);

  readings = {};
  readings.is_there = false;
  CHECK_FALSE(read_together(read_clocks));
  CHECK(readings.hosts == 1);
}

TEST_CASE("a clock that runs with the host's is left alone, also if the host's is slewed") {
  Guest guest;
  CHECK(guest.look_for(1000) == 0);
  for (int i = 0; i < 1000; ++i) {
    guest.run(9'700'000'000);
    guest.host += 300'000;
    guest.look();
  }
  CHECK(guest.wrong_by() < second);
}

TEST_CASE("a machine that was paused is right within a second at the next look, and then closer") {
  for (const std::int64_t still : {3 * second / 2, 2 * second, 40 * second, 86400 * second}) {
    Guest guest;
    guest.look_for(5);
    guest.pause(still);
    guest.run(second / 3);
    CHECK(guest.look());
    CHECK(guest.wrong_by() <= second / 2);
    guest.look_for(12);
    CHECK(guest.wrong_by() < second / 4);
  }
}

TEST_CASE("less than a second is found after a few looks") {
  Guest guest;
  guest.look_for(5);
  guest.pause(700'000'000);
  CHECK(guest.look_for(6) >= 1);
  CHECK(guest.wrong_by() < second / 4);
}

TEST_CASE("a host's clock that is known exactly is followed exactly") {
  Guest guest;
  guest.resolution = 0;
  guest.look_for(2);
  guest.pause(3 * second);
  CHECK(guest.look());
  CHECK(guest.wrong_by() == 0);
}

TEST_CASE("a tenth of a second is left alone, and a nanosecond more is not") {
  Guest guest;
  guest.resolution = 0;
  guest.look_for(2);
  guest.pause(second / 10);
  CHECK_FALSE(guest.look());
  guest.pause(1);
  CHECK(guest.look());
  CHECK(guest.wrong_by() == 0);
  // Nor where the guest is ahead of the host.
  guest.pause(-second / 10);
  CHECK_FALSE(guest.look());
  guest.pause(-1);
  CHECK(guest.look());
  CHECK(guest.wrong_by() == 0);
}

TEST_CASE("a clock that was set ahead in the guest stays ahead") {
  Guest guest;
  guest.look_for(3);
  guest.real += 3600 * second;
  CHECK(guest.look_for(5) == 0);
  CHECK(guest.wrong_by() == 3600 * second);
}

TEST_CASE("a clock that the host sets is not taken for one that the guest has set") {
  Guest guest;
  guest.look_for(3);
  guest.real += 3600 * second;
  guest.host += 3600 * second;
  guest.keeper.told();
  guest.look_for(3);
  guest.pause(60 * second);
  CHECK(guest.look_for(1) == 1);
}

TEST_CASE("a clock that was set in the guest stays as it is until the host sets it") {
  Guest guest;
  guest.look_for(3);
  guest.real -= 3600 * second;
  CHECK(guest.look_for(5) == 0);
  guest.pause(60 * second);
  CHECK(guest.look_for(5) == 0);
  guest.real = guest.host;
  guest.keeper.told();
  guest.look_for(3);
  guest.pause(60 * second);
  CHECK(guest.look_for(1) == 1);
}

TEST_CASE("a clock that nobody on the host has set is not kept") {
  Guest guest;
  guest.keeper = {};
  guest.real += 100 * second;
  CHECK(guest.look_for(5) == 0);
}

}  // namespace fireclaw::guestd
