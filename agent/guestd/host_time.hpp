#pragma once

#include <cstdint>
#include <optional>

#include "clock_keeper.hpp"

namespace fireclaw::guestd {

/// Keeps the machine's clock with the host's, by what there is to read that from: KVM's clock, or a real-time clock
/// that the engine runs with the host's. Nothing happens where there is neither.
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
