#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string_view>

#include "bounded_output.hpp"
#include "json.hpp"

namespace fireclaw::mcp {

/// Tells a client what a command prints, as progress of its call: at once, but not more often than clients can take.
/// What comes too fast is told together, and if it is much, its beginning and its end. For one thread.
class ProgressReporter {
 public:
  using Clock = std::chrono::steady_clock;

  /// Without `messages` only how many bytes there were.
  ProgressReporter(std::function<void(const Json&)> send, Json token, bool messages,
                   std::function<Clock::time_point()> now = Clock::now);

  void operator()(std::string_view output);

 private:
  [[nodiscard]] bool may_send();

  std::function<void(const Json&)> send_;
  Json token_;
  bool messages_;
  std::function<Clock::time_point()> now_;
  BoundedOutput untold_;
  std::uint64_t total_ = 0;
  double allowed_;
  Clock::time_point counted_;
};

}  // namespace fireclaw::mcp
