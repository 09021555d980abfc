#pragma once

#include <cstdint>
#include <optional>

namespace fireclaw::guestd {

/// The clocks at one moment, in nanoseconds.
struct ClockSample {
  /// The host's time, at the latest; it was no more than `resolution` earlier.
  std::int64_t host = 0;
  std::int64_t resolution = 0;
  /// The guest's CLOCK_REALTIME and CLOCK_MONOTONIC.
  std::int64_t real = 0;
  std::int64_t monotonic = 0;
};

/// Where the clocks are read.
struct Clocks {
  /// Sets `host` and `resolution`; false: there is no such clock.
  bool (*host)(ClockSample& sample);
  std::int64_t (*real)();
  std::int64_t (*monotonic)();
};

/// Reads the clocks again until nothing came between the readings: a processor that was taken away there, or an engine
/// that was stopped, looks like a clock that is wrong or was set. nullopt: there is no host's clock, or something came
/// between each time.
std::optional<ClockSample> read_together(const Clocks& clocks);

/// Notices that a guest's clock has fallen behind the host's (its engine was stopped, or the host slept), from samples
/// that are taken now and then. A real-time clock tells whole seconds only: each sample gives an interval for the
/// difference of the clocks, and after some samples their intersection is small. If somebody in the guest has set the
/// clock, it is left alone until the host sets it again.
class ClockKeeper {
 public:
  /// The host has set the guest's clock.
  void told();
  /// The right value for CLOCK_REALTIME; nullopt: it is right, as far as can be seen.
  std::optional<std::int64_t> look(const ClockSample& sample);

 private:
  /// How far the guest's clock is ahead of the host's, at least and at most.
  struct Interval {
    std::int64_t low = 0;
    std::int64_t high = 0;
  };

  bool kept_ = false;
  /// Since told(), or since a correction, no sample has been taken.
  bool fresh_ = true;
  Interval ahead_;
  std::int64_t real_ = 0;
  std::int64_t monotonic_ = 0;
};

}  // namespace fireclaw::guestd
