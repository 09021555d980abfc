#pragma once

#include <cstdint>
#include <optional>

#include "clock_keeper.hpp"

namespace fireclaw::guestd {

/// Keeps the machine's clock in step with the host's, by KVM's clock, or by a real-time clock that the engine runs with
/// the host's. Does nothing if there is neither.
class HostTime {
 public:
  /// The host has set the clock.
  void told() { keeper_.told(); }
  /// When tick() wants to be called, in now_ms() time.
  [[nodiscard]] std::int64_t deadline() const { return next_look_; }
  /// Looks, once it is time for that.
  void tick(std::int64_t now);

 private:
  ClockKeeper keeper_;
  std::int64_t next_look_ = 0;
};

}  // namespace fireclaw::guestd
