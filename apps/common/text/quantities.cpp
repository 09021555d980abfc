#include "common/text/quantities.hpp"

#include <algorithm>
#include <charconv>
#include <ctime>
#include <iterator>
#include <limits>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "base/number.hpp"
#include "common/text/text.hpp"
#include "fireclaw/error.hpp"

namespace fireclaw::cli {
namespace {

/// A number and the unit behind it.
std::pair<std::uint64_t, std::string_view> split_unit(std::string_view text, std::string_view what) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{}) throw Error{ErrorCode::InvalidArgument, fmt::format("'{}' is not {}", text, what)};
  return {number, text.substr(static_cast<std::size_t>(end - text.data()))};
}

std::uint64_t scale(std::uint64_t number, std::uint64_t factor, std::uint64_t limit, std::string_view text) {
  if (number > limit / factor) throw Error{ErrorCode::InvalidArgument, fmt::format("'{}' is too much", text)};
  return number * factor;
}

unsigned parse_mib(const std::string& text, std::string_view what, std::string_view of) {
  const auto [number, unit] = split_unit(text, fmt::format("{}; use MiB as in 256, or 512M, 2G", what));
  std::uint64_t factor = 0;
  if (unit.empty() || unit == "M" || unit == "MiB") factor = 1;
  if (unit == "G" || unit == "GiB") factor = 1024;
  if (factor == 0) {
    throw Error{ErrorCode::InvalidArgument, fmt::format("'{}': the units of {} are M and G (MiB, GiB)", text, of)};
  }
  return static_cast<unsigned>(scale(number, factor, std::numeric_limits<unsigned>::max(), text));
}

}  // namespace

unsigned parse_memory_mib(const std::string& text) { return parse_mib(text, "an amount of memory", "memory"); }
unsigned parse_rate_mib(const std::string& text) { return parse_mib(text, "a rate", "a rate"); }

std::uint64_t parse_size_mib(const std::string& text) {
  const auto [number, unit] = split_unit(text, "a size; use MiB as in 256, or 512M, 2G");
  std::uint64_t factor = 0;
  if (unit.empty() || unit == "M" || unit == "MiB") factor = 1;
  if (unit == "G" || unit == "GiB") factor = 1024;
  if (unit == "T" || unit == "TiB") factor = 1024 * 1024;
  if (factor == 0) {
    throw Error{ErrorCode::InvalidArgument,
                fmt::format("'{}': the units of size are M, G and T (MiB, GiB, TiB)", text)};
  }
  return scale(number, factor, std::numeric_limits<std::uint64_t>::max() >> 20, text);
}

std::chrono::milliseconds parse_duration(const std::string& text) {
  auto [number, unit] = split_unit(text, "a duration; use seconds as in 60 or 0.5, or 1500ms, 90s, 5m, 2h");
  // What stands behind the point, in billionths of the unit.
  std::uint64_t fraction = 0;
  if (!unit.empty() && unit.front() == '.') {
    unit.remove_prefix(1);
    const auto digits = std::min(unit.find_first_not_of("0123456789"), unit.size());
    if (digits == 0) throw Error{ErrorCode::InvalidArgument, fmt::format("'{}': digits follow the point", text)};
    for (std::size_t i = 0; i < 9; ++i)
      fraction = fraction * 10 + (i < digits ? static_cast<unsigned>(unit[i] - '0') : 0);
    unit.remove_prefix(digits);
  }
  std::uint64_t factor = 0;
  if (unit == "ms") factor = 1;
  if (unit.empty() || unit == "s") factor = 1000;
  if (unit == "m") factor = 60'000;
  if (unit == "h") factor = 3'600'000;
  if (factor == 0) {
    throw Error{ErrorCode::InvalidArgument, fmt::format("'{}': the units of time are ms, s, m and h", text)};
  }
  // A year is more than anybody means, and far from any overflow.
  constexpr std::uint64_t year_ms = std::uint64_t{366} * 24 * 3'600'000;
  // Rounded up: what is not nothing never becomes 0, which means "never" in some places.
  constexpr std::uint64_t billion = 1'000'000'000;
  return std::chrono::milliseconds{scale(number, factor, year_ms, text) + (fraction * factor + billion - 1) / billion};
}

std::optional<std::uint32_t> parse_mode(const std::string& text, std::string_view option) {
  constexpr std::uint32_t most = 07777;
  if (text.empty()) return std::nullopt;
  const auto mode = parse_number<std::uint32_t>(text, 8);
  if (mode && *mode <= most) return mode;
  throw Error{ErrorCode::InvalidArgument, fmt::format("{} '{}' is not octal, as in 0644", option, shorten(text, 200))};
}

std::string human_bytes(std::uint64_t bytes) {
  constexpr const char* units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < std::size(units)) {
    value /= 1024;
    ++unit;
  }
  return value < 10 && unit > 0 ? fmt::format("{:.1f} {}", value, units[unit])
                                : fmt::format("{:.0f} {}", value, units[unit]);
}

double to_ms(std::chrono::nanoseconds duration) { return std::chrono::duration<double, std::milli>(duration).count(); }

std::string human_duration(std::chrono::nanoseconds duration) {
  const auto ms = to_ms(duration);
  return ms < 1000 ? fmt::format("{:.1f} ms", ms) : fmt::format("{:.2f} s", ms / 1000);
}

std::string human_age(std::chrono::seconds age) {
  const auto s = age.count();
  if (s < 60) return fmt::format("{} s", s);
  if (s < 3600) return fmt::format("{} min {} s", s / 60, s % 60);
  if (s < 86400) return fmt::format("{} h {} min", s / 3600, s / 60 % 60);
  return fmt::format("{} d {} h", s / 86400, s / 3600 % 24);
}

std::string iso_time(std::chrono::system_clock::time_point time) {
  const auto seconds = std::chrono::system_clock::to_time_t(time);
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  char text[sizeof "2026-01-31T12:00:00Z"];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

}  // namespace fireclaw::cli
