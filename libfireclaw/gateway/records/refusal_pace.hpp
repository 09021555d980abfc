#pragma once

#include <chrono>
#include <map>
#include <string>
#include <utility>

#include "base/clock.hpp"

namespace fireclaw::gateway {

/// Decides which refusals get a line in the log, so that no machine fills it.
class RefusalPace {
 public:
  explicit RefusalPace(const Clock& clock) : clock_{clock} {}

  bool admit(const std::string& machine) {
    const auto minute = std::chrono::floor<std::chrono::minutes>(clock_.steady_now().time_since_epoch());
    // Machines of the past, too.
    if (std::exchange(minute_, minute) != minute) lines_.clear();
    return ++lines_[machine] <= most_a_minute;
  }

 private:
  static constexpr unsigned most_a_minute = 10;
  const Clock& clock_;
  std::chrono::minutes minute_{0};
  std::map<std::string, unsigned> lines_;
};

}  // namespace fireclaw::gateway
