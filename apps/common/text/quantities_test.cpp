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

TEST_CASE("sizes and times are told in units that people read") {
  constexpr std::uint64_t kib = 1024;
  CHECK(human_bytes(0) == "0 B");
  CHECK(human_bytes(1023) == "1023 B");
  CHECK(human_bytes(kib) == "1.0 KiB");
  CHECK(human_bytes(10 * kib) == "10 KiB");
  CHECK(human_bytes(kib * kib * 3 / 2) == "1.5 MiB");
  CHECK(human_bytes(5000 * kib * kib * kib * kib) == "5000 TiB");
  CHECK(human_duration(std::chrono::microseconds{1500}) == "1.5 ms");
  CHECK(human_duration(milliseconds{1250}) == "1.25 s");
  using std::chrono::seconds;
  CHECK(human_age(seconds{59}) == "59 s");
  CHECK(human_age(seconds{61}) == "1 min 1 s");
  CHECK(human_age(seconds{3600 + 120 + 3}) == "1 h 2 min");
  CHECK(human_age(seconds{2 * 86400 + 3 * 3600}) == "2 d 3 h");
  CHECK(iso_time(std::chrono::system_clock::time_point{seconds{1'000'000'000}}) == "2001-09-09T01:46:40Z");
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
