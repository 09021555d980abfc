#pragma once

#include <chrono>
#include <functional>
#include <optional>

#include "base/deadline.hpp"
#include "fireclaw/error.hpp"
#include "vmm/engine_process.hpp"

namespace fireclaw::vmm {

/// What a machine may take to continue: the one who stopped it does not give up when its own time is over, and the
/// engine may still be writing what it was asked for.
inline constexpr std::chrono::minutes go_on_limit{2};

/// A machine that was stopped for a moment could not be told to continue: it stands still, and its engine runs.
class StandsStill : public Error {
 public:
  using Error::Error;
};

/// The moment for which a machine is stopped. Only stand_still() makes one.
class BriefPause {
 public:
  /// Lets the machine continue by the deadline; no error if it runs.
  using Resume = std::function<void(Deadline)>;

  BriefPause(EngineProcess& process, Resume resume);
  /// Called before the machine is told to stop.
  void begin();
  /// Lets it continue, whatever the deadline of the rest. Throws StandsStill, or why it failed if the engine has ended.
  void end();

  [[nodiscard]] bool goes_on() const { return !began_ || lasted_; }
  [[nodiscard]] std::chrono::nanoseconds lasted() const { return lasted_.value_or(std::chrono::nanoseconds{0}); }

 private:
  EngineProcess& process_;
  Resume resume_;
  std::optional<std::chrono::steady_clock::time_point> began_;
  std::optional<std::chrono::nanoseconds> lasted_;
};

/// Calls `copy`, which begins and ends the brief pause. Whatever it throws, the machine continues before this throws
/// that; if it does not, and its engine has not ended, this throws StandsStill with both reasons. Returns how long the
/// machine stood still.
std::chrono::nanoseconds stand_still(EngineProcess& process, BriefPause::Resume resume,
                                     const std::function<void(BriefPause&)>& copy);

}  // namespace fireclaw::vmm
