#pragma once

#include <chrono>
#include <optional>
#include <string_view>

namespace fireclaw {

/// A point on the steady clock by which something must have happened, or never.
class Deadline {
 public:
  using Clock = std::chrono::steady_clock;

  static Deadline never() { return Deadline{}; }
  static Deadline at(Clock::time_point when) { return Deadline{when}; }
  /// `limit` from now; durations too large for the clock mean never.
  static Deadline after(std::chrono::nanoseconds limit);
  /// Coarser units reach further than nanoseconds can count.
  template <typename Rep, typename Period>
  static Deadline after(std::chrono::duration<Rep, Period> limit) {
    constexpr std::chrono::duration<double> most{std::chrono::nanoseconds::max()};
    constexpr std::chrono::nanoseconds none{0};
    const std::chrono::duration<double> seconds{limit};
    if (seconds >= most) return never();
    return seconds <= none ? after(none) : after(std::chrono::duration_cast<std::chrono::nanoseconds>(limit));
  }
  static Deadline after(std::optional<std::chrono::milliseconds> limit) { return limit ? after(*limit) : never(); }

  [[nodiscard]] bool is_never() const { return !when_; }
  [[nodiscard]] bool passed() const { return when_ && Clock::now() >= *when_; }
  /// Time left, at least zero; nullopt for never.
  [[nodiscard]] std::optional<std::chrono::nanoseconds> remaining() const;
  /// For poll(2): milliseconds left, rounded up so that a wait never ends early; -1 for never.
  [[nodiscard]] int poll_timeout_ms() const;
  /// The earlier of the two.
  [[nodiscard]] Deadline sooner(Deadline other) const;
  /// Throws Error(Timeout, "<what> timed out") if passed.
  void check(std::string_view what) const;

 private:
  Deadline() = default;
  explicit Deadline(Clock::time_point when) : when_{when} {}

  std::optional<Clock::time_point> when_;
};

}  // namespace fireclaw
