#include "base/deadline.hpp"

#include <algorithm>
#include <limits>
#include <string>

#include "fireclaw/error.hpp"

namespace fireclaw {

Deadline Deadline::after(std::chrono::nanoseconds limit) {
  const Clock::time_point now = Clock::now();
  if (limit > Clock::time_point::max() - now) return never();
  // The steady clock counts from boot, so `now` is positive and a negative limit cannot underflow.
  return at(now + std::max(limit, std::chrono::nanoseconds{0}));
}

std::optional<std::chrono::nanoseconds> Deadline::remaining() const {
  if (!when_) return std::nullopt;
  const Clock::time_point now = Clock::now();
  if (now >= *when_) return std::chrono::nanoseconds{0};
  return *when_ - now;
}

int Deadline::poll_timeout_ms() const {
  const auto left = remaining();
  if (!left) return -1;
  const auto milliseconds = std::chrono::ceil<std::chrono::milliseconds>(*left).count();
  return static_cast<int>(std::min<std::int64_t>(milliseconds, std::numeric_limits<int>::max()));
}

Deadline Deadline::sooner(Deadline other) const {
  if (!when_) return other;
  if (!other.when_) return *this;
  return *when_ <= *other.when_ ? *this : other;
}

void Deadline::check(std::string_view what) const {
  if (passed()) throw Error{ErrorCode::Timeout, std::string{what} + " timed out"};
}

}  // namespace fireclaw
