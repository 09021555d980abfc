#include "cache_keeper.hpp"

#include <doctest/doctest.h>
#include <unistd.h>

namespace fireclaw::guestd {
namespace {

constexpr std::int64_t mib = 1024;

/// A machine that is looked at every 10 s.
struct Guest {
  CacheSample now{5000, 3000, 40 * mib};
  CacheKeeper keeper;

  Guest() {
    keeper.told();
    look(0);
  }
  /// After 10 s of which its CPUs worked for so long.
  bool look(std::int64_t busy_ms) {
    now.now_ms += 10000;
    now.busy_ms += busy_ms;
    return keeper.look(now);
  }
  /// How often it is asked to drop what it keeps, in so many looks.
  int look_for(int times, std::int64_t busy_ms = 20) {
    int drops = 0;
    for (int i = 0; i < times; ++i) drops += look(busy_ms) ? 1 : 0;
    return drops;
  }
};

TEST_CASE("a sample is what the kernel says of its files and CPUs") {
  const auto sample =
      cache_sample(7,
                   "MemTotal:         374456 kB\nActive:              856 kB\nActive(anon):         36 kB\n"
                   "Active(file):        820 kB\nInactive(file):    24276 kB\n",
                   "cpu  100 20 30 4000 500 6 7 8 1000 1000\ncpu0 1 1 1 1 1 1 1 1 1 1\nintr 1\n");
  CHECK(sample.now_ms == 7);
  CHECK(sample.cached_kib == 820 + 24276);
  CHECK(sample.busy_ms == 171 * 1000 / sysconf(_SC_CLK_TCK));
  CHECK(cache_sample(7, "", "").cached_kib == 0);
  CHECK(cache_sample(7, "Active(file):", "cpu").busy_ms == 0);
}

TEST_CASE("what an idle machine has cached since it was told who it is is dropped, once") {
  Guest guest;
  guest.now.cached_kib += 100 * mib;
  CHECK(guest.look(8000) == false);
  CHECK(guest.look_for(5) == 0);
  CHECK(guest.look(20));
  SUBCASE("all of it goes") { guest.now.cached_kib = 30 * mib; }
  SUBCASE("it is in use, and stays") {}
  CHECK(guest.look_for(100) == 0);
  guest.now.cached_kib += 150 * mib;
  CHECK(guest.look_for(100) == 1);
}

TEST_CASE("what a snapshot came with stays until as much again has come") {
  Guest guest;
  CHECK(guest.look_for(100) == 0);
  guest.now.cached_kib += 39 * mib;
  CHECK(guest.look_for(100) == 0);
  SUBCASE("in this machine") {
    guest.now.cached_kib += 1 * mib;
    CHECK(guest.look_for(100) == 1);
  }
  SUBCASE("in one that was saved") {
    guest.keeper.told();
    guest.now.cached_kib += 1 * mib;
    CHECK(guest.look_for(100) == 0);
  }
}

TEST_CASE("a machine that works keeps what it reads") {
  Guest guest;
  guest.now.cached_kib += 100 * mib;
  CHECK(guest.look_for(100, 1500) == 0);
  for (int i = 0; i < 20; ++i) {
    CHECK(guest.look_for(5) == 0);
    CHECK(guest.look(4000) == false);
  }
  CHECK(guest.look_for(6) == 1);
}

TEST_CASE("what it had already given up counts from there") {
  Guest guest;
  guest.now.cached_kib = 10 * mib;
  CHECK(guest.look_for(10) == 0);
  guest.now.cached_kib = 25 * mib;
  CHECK(guest.look_for(10) == 0);
  guest.now.cached_kib = 26 * mib;
  CHECK(guest.look_for(10) == 1);
}

}  // namespace
}  // namespace fireclaw::guestd
