#pragma once

#include <chrono>
#include <functional>
#include <optional>

#include "base/deadline.hpp"
#include "fireclaw/error.hpp"
#include "vmm/engine_process.hpp"

namespace fireclaw::vmm {

/// How long a resume may take: it is not given up when the caller's own time is over, and the engine may still be
/// writing what it was asked for.
inline constexpr std::chrono::minutes resume_limit{2};

/// A machine that was paused for a moment could not be resumed: it stays paused, and its engine runs.
class StaysPaused : public Error {
 public:
  using Error::Error;
};

/// A moment for which a machine is paused. Only pause_briefly() makes one.
class BriefPause {
 public:
  /// Resumes the machine by the deadline; no error if it runs.
  using Resume = std::function<void(Deadline)>;

  BriefPause(EngineProcess& process, Resume resume);
  /// Call before pausing the machine.
  void begin();
  /// Resumes it within resume_limit. Throws StaysPaused, or, if the engine has ended, why it failed.
  void end();

  [[nodiscard]] bool is_over() const { return !began_ || lasted_; }
  [[nodiscard]] std::chrono::nanoseconds lasted() const { return lasted_.value_or(std::chrono::nanoseconds{0}); }

 private:
  EngineProcess& process_;
  Resume resume_;
  std::optional<std::chrono::steady_clock::time_point> began_;
  std::optional<std::chrono::nanoseconds> lasted_;
};

/// Calls `copy`, which begins and ends the brief pause. If `copy` throws, the machine is resumed before this throws the
/// same; if that fails and the engine has not ended, this throws StaysPaused with both reasons. Returns how long the
/// machine was paused.
std::chrono::nanoseconds pause_briefly(EngineProcess& process, BriefPause::Resume resume,
                                       const std::function<void(BriefPause&)>& copy);

}  // namespace fireclaw::vmm
