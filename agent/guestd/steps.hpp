#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "guest/wire/wire.hpp"

namespace fireclaw::guestd {

/// A session's steps since its host greeted, with times. Repeated steps count once, the first time.
class Steps {
 public:
  /// Call when the host has greeted: forgets all steps.
  void begin();
  /// `name` is a literal.
  void done(const char* name);
  [[nodiscard]] guest::wire::StepTimes times() const;

 private:
  struct Step {
    const char* name = nullptr;
    std::uint64_t ns = 0;
  };
  std::array<Step, guest::wire::max_steps> steps_;
  std::size_t count_ = 0;
  std::uint64_t began_ns_ = 0;
};

}  // namespace fireclaw::guestd
