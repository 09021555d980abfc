#include "base/number.hpp"

#include <doctest/doctest.h>

#include <cstdint>

using fireclaw::parse_number;

TEST_CASE("a number is all of a text, in the base asked for, and fits its type") {
  CHECK(parse_number<int>("42") == 42);
  CHECK(parse_number<int>("-7") == -7);
  CHECK(parse_number<unsigned>("0755", 8) == 0755U);
  CHECK(parse_number<std::uint8_t>("fF", 16) == 255);
  for (const auto* text : {"", " 1", "1 ", "+1", "1.0", "0x1", "-", "256"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_number<std::uint8_t>(text));
  }
  CHECK_FALSE(parse_number<unsigned>("-1"));
  CHECK_FALSE(parse_number<unsigned>("8", 8));
}
