#include "common/text/quantities.hpp"

#include <string>

#include <doctest/doctest.h>

#include "fireclaw/error.hpp"

namespace fireclaw::cli {
namespace {

using std::chrono::milliseconds;

TEST_CASE("a duration is seconds, or has its unit, and may have a fraction") {
  CHECK(parse_duration("60") == milliseconds{60'000});
  CHECK(parse_duration("0") == milliseconds{0});
  CHECK(parse_duration("0.5") == milliseconds{500});
  CHECK(parse_duration("1.5m") == milliseconds{90'000});
  CHECK(parse_duration("0.25h") == milliseconds{900'000});
  CHECK(parse_duration("1500ms") == milliseconds{1500});
  CHECK(parse_duration("2.000000000000s") == milliseconds{2000});
}

TEST_CASE("what is not nothing is never taken for 0") {
  CHECK(parse_duration("0.0001") == milliseconds{1});
  CHECK(parse_duration("0.4ms") == milliseconds{1});
}

TEST_CASE("what is not a duration is refused with what to write") {
  for (const char* text : {"", "sh", ".5", "1.", "1.s", "1.5.5", "5x", "-1", "1e3"}) {
    CAPTURE(text);
    CHECK_THROWS_AS(parse_duration(text), Error);
  }
  CHECK_THROWS_WITH(parse_duration("999999999h"), "'999999999h' is too much");
}

TEST_CASE("permission bits are octal, at most four digits' worth") {
  CHECK(parse_mode("0644", "--mode") == 0644U);
  CHECK(parse_mode("7777", "--mode") == 07777U);
  CHECK_FALSE(parse_mode("", "--mode"));
  for (const char* text : {"10000", "8", "u+x", "0x1ff", "-1", "644 "}) {
    CAPTURE(text);
    CHECK_THROWS_WITH(parse_mode(text, "--mode"),
                      ("--mode '" + std::string{text} + "' is not octal, as in 0644").c_str());
  }
}

}  // namespace
}  // namespace fireclaw::cli
