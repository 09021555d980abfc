#pragma once

#include <cstdint>

#include "cache_keeper.hpp"

namespace fireclaw::guestd {

/// Has the kernel drop what an idle machine need not keep in memory, where the engine takes free memory back. Nothing
/// happens elsewhere.
class SpareMemory {
 public:
  /// Modules are loaded: a kernel forgets at the balloon's arrival what it was told before.
  SpareMemory();
  /// The host has said who the machine is.
  void told();
  /// When tick() wants to be called, in now_ms() time.
  [[nodiscard]] std::int64_t deadline() const { return next_look_; }
  /// Looks, once it is time for that, and then at `next_wake`: a machine that wakes for something else anyway need not
  /// wake twice.
  void tick(std::int64_t now, std::int64_t next_wake);

 private:
  const bool wanted_;
  CacheKeeper keeper_;
  std::int64_t next_look_;
};

}  // namespace fireclaw::guestd
