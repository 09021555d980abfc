#include "vmm/qemu/known_holes.hpp"

#include <doctest/doctest.h>

#include <string>

#include "fireclaw/error.hpp"

namespace fireclaw::vmm::qemu {
namespace {

TEST_CASE("a QEMU with a known hole is told from one that has the remedy, by its line of releases") {
  for (const auto* safe : {"7.2.11", "7.2.22", "8.2.3", "8.2.10", "9.0.0", "10.0.2", "10.0.50-rc1"}) {
    CAPTURE(safe);
    CHECK(known_hole(safe, "").empty());
  }
  for (const auto* unsafe : {"7.2.0", "7.2.10", "8.0.5", "8.1.5", "8.2.2"}) {
    CAPTURE(unsafe);
    CHECK(known_hole(unsafe, "").find("CVE-2024-3446") != std::string::npos);
  }
  CHECK(known_hole("7.2.10", "").find("7.2.11 fixes it") != std::string::npos);
  CHECK(known_hole("8.1.5", "").find("9.0.0 fixes it") != std::string::npos);
}

TEST_CASE("a distribution's package may have the remedy under an older number") {
  CHECK(known_hole("8.2.2", "Debian 1:8.2.2+ds-0ubuntu1.10").empty());
  CHECK(known_hole("8.2.2", "Debian 1:8.2.2+ds-0ubuntu1.12").empty());
  CHECK_FALSE(known_hole("8.2.2", "Debian 1:8.2.2+ds-0ubuntu1.9").empty());
  CHECK_FALSE(known_hole("8.2.2", "Debian 1:8.2.2+ds-0ubuntu1").empty());
  CHECK_FALSE(known_hole("8.2.2", "Debian 1:8.2.2+ds-1").empty());
}

TEST_CASE("what is not a version is refused, and not taken for a safe one") {
  CHECK_THROWS_AS(known_hole("new", ""), Error);
}

}  // namespace
}  // namespace fireclaw::vmm::qemu
