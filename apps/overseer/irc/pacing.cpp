#include "irc/pacing.hpp"

#include <algorithm>
#include <cmath>

namespace fireclaw::overseer {
namespace {

constexpr double slowest = 8;
constexpr std::chrono::hours forgiven_after{1};
/// Sums of fractions fall short of whole numbers by a little.
constexpr double whole_token = 1 - 1e-9;

}  // namespace

Pacer::Pacer(unsigned burst, Seconds interval, TimePoint now)
    : burst_{static_cast<double>(burst)}, interval_{interval}, tokens_{burst_}, at_{now}, slowed_at_{now} {}

double Pacer::burst() const { return std::max(1.0, std::floor(burst_ / slowness_)); }

void Pacer::refill(TimePoint now) {
  if (now <= at_) return;
  tokens_ = std::min(burst(), tokens_ + Seconds{now - at_} / interval());
  at_ = now;
}

bool Pacer::take(TimePoint now) {
  refill(now);
  if (tokens_ < whole_token) return false;
  tokens_ -= 1;
  return true;
}

void Pacer::charge(TimePoint now) {
  refill(now);
  tokens_ = std::max(tokens_ - 1, -burst());
}

TimePoint Pacer::ready_at(TimePoint now) const {
  const auto tokens = std::min(burst(), tokens_ + std::max(0.0, Seconds{now - at_} / interval()));
  return now + std::chrono::ceil<TimePoint::duration>(std::max(0.0, 1 - tokens) * interval());
}

void Pacer::restart(TimePoint now) {
  if (now - slowed_at_ > forgiven_after) slowness_ = 1;
  tokens_ = burst();
  at_ = now;
}

void Pacer::slow_down(TimePoint now) {
  slowness_ = std::min(slowest, slowness_ * 2);
  slowed_at_ = now;
}

void Pacer::set(unsigned burst, Seconds interval, TimePoint now) {
  burst_ = static_cast<double>(burst);
  interval_ = interval;
  restart(now);
}

Seconds Backoff::next() {
  const auto delay = std::min(longest_.count(), first_.count() * std::pow(factor_, failures_));
  failures_ = std::min(failures_ + 1, most_failures);
  return Seconds{delay * std::uniform_real_distribution<double>{0.5, 1}(random_)};
}

}  // namespace fireclaw::overseer
