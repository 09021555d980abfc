#include "clock_keeper.hpp"

#include <algorithm>

namespace fireclaw::guestd {
namespace {

constexpr std::int64_t millisecond = 1000000;
/// So much apart the clocks are left alone.
constexpr std::int64_t tolerance = 100 * millisecond;
/// A clock that is slewed moves less than this against the monotonic one; what moves more was set. In parts of the time
/// that has passed, as adjtimex(2) does it at most.
constexpr std::int64_t slew_parts = 1000;

/// A device that reads the host's clock may take long. This is a small part of `tolerance`.
constexpr std::int64_t longest_host_reading = 20 * millisecond;
/// Two samples, each wrong by this, differ by no more than the millisecond that look() allows.
constexpr std::int64_t longest_guest_reading = millisecond / 2;
constexpr int most_readings = 8;

}  // namespace

std::optional<ClockSample> read_together(const Clocks& clocks) {
  for (int reading = 0; reading < most_readings; ++reading) {
    ClockSample sample;
    const std::int64_t began = clocks.monotonic();
    if (!clocks.host(sample)) return std::nullopt;
    const std::int64_t host_read = clocks.monotonic();
    sample.real = clocks.real();
    sample.monotonic = clocks.monotonic();
    if (host_read - began <= longest_host_reading && sample.monotonic - host_read <= longest_guest_reading)
      return sample;
  }
  return std::nullopt;
}

void ClockKeeper::told() {
  kept_ = true;
  fresh_ = true;
}

std::optional<std::int64_t> ClockKeeper::look(const ClockSample& sample) {
  const Interval seen{sample.real - sample.host, sample.real - sample.host + sample.resolution};
  const std::int64_t passed = sample.monotonic - monotonic_;
  const std::int64_t set_by = sample.real - real_ - passed;
  const std::int64_t slewed = passed / slew_parts + millisecond;
  if (!fresh_ && (set_by > slewed || set_by < -slewed)) {
    kept_ = false;
    fresh_ = true;
  }
  Interval common = seen;
  if (!fresh_) {
    common = {std::max(seen.low, ahead_.low - slewed), std::min(seen.high, ahead_.high + slewed)};
    // No common time: the machine was paused.
    if (common.low > common.high) common = seen;
  }
  fresh_ = false;
  ahead_ = common;
  real_ = sample.real;
  monotonic_ = sample.monotonic;
  if (!kept_ || (common.low <= tolerance && common.high >= -tolerance)) return std::nullopt;
  const std::int64_t wrong_by = common.low + (common.high - common.low) / 2;
  ahead_ = {common.low - wrong_by, common.high - wrong_by};
  real_ -= wrong_by;
  return real_;
}

}  // namespace fireclaw::guestd
