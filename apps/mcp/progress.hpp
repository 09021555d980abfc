#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>

#include "bounded_output.hpp"
#include "json.hpp"

namespace fireclaw::mcp {

/// Tells a client what a command prints, as progress of its call: at once, but not more often than clients can take.
/// What comes too fast is told together, and if it is much, its beginning and its end. Members may be called from
/// several threads; `send` is called by one at a time.
class ProgressReporter {
 public:
  using Clock = std::chrono::steady_clock;

  /// Without `messages` only how many bytes there were.
  ProgressReporter(std::function<void(const Json&)> send, Json token, bool messages,
                   std::function<Clock::time_point()> now = Clock::now);

  /// The call has printed this.
  void operator()(std::string_view output);
  /// Says that the call is under way, and what was not told yet, if nothing has been said for so long.
  void keep_up(std::chrono::milliseconds silence);
  /// Ends the reports.
  void end();

 private:
  [[nodiscard]] bool may_send(Clock::time_point now);
  void tell(Clock::time_point now, std::string message);

  std::function<void(const Json&)> send_;
  Json token_;
  bool messages_;
  std::function<Clock::time_point()> now_;
  BoundedOutput untold_;
  std::mutex mutex_;
  /// Bytes that were printed, and what was said without any: it grows with everything that is said.
  std::uint64_t progress_ = 0;
  double allowed_;
  Clock::time_point counted_;
  Clock::time_point began_;
  Clock::time_point told_;
  bool ended_ = false;
};

}  // namespace fireclaw::mcp
