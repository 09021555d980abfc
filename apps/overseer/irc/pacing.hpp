#pragma once

#include <chrono>
#include <random>

namespace fireclaw::overseer {

using TimePoint = std::chrono::steady_clock::time_point;
using Seconds = std::chrono::duration<double>;

/// How fast lines may leave: `burst` at once and one every `interval` after that. After a server has dropped us for
/// flooding, lines leave more slowly until an hour has passed without another drop.
class Pacer {
 public:
  Pacer(unsigned burst, Seconds interval, TimePoint now);

  /// Takes a line's worth if there is one.
  bool take(TimePoint now);
  /// For a line that cannot wait; later ones pay for it.
  void charge(TimePoint now);
  /// When take() will succeed.
  [[nodiscard]] TimePoint ready_at(TimePoint now) const;
  /// A new connection begins, with nothing on the server's account.
  void restart(TimePoint now);
  void slow_down(TimePoint now);
  /// Another pace from now on, with a burst that is not used up; as slow as it has become.
  void set(unsigned burst, Seconds interval, TimePoint now);
  [[nodiscard]] double slowness() const { return slowness_; }

 private:
  void refill(TimePoint now);
  [[nodiscard]] double burst() const;
  [[nodiscard]] Seconds interval() const { return interval_ * slowness_; }

  double burst_;
  Seconds interval_;
  double slowness_ = 1;
  double tokens_;
  TimePoint at_;
  TimePoint slowed_at_;
};

/// Delays that grow by `factor` from `first` to `longest`, each shortened at random by up to half, so that many
/// clients of one server do not come back at the same instant.
class Backoff {
 public:
  Backoff(Seconds first, Seconds longest, double factor, unsigned seed)
      : first_{first}, longest_{longest}, factor_{factor}, random_{seed} {}

  Seconds next();
  /// Uses the longest delay from now on.
  void give_up() { failures_ = most_failures; }
  void reset() { failures_ = 0; }

 private:
  static constexpr int most_failures = 64;

  Seconds first_;
  Seconds longest_;
  double factor_;
  int failures_ = 0;
  std::minstd_rand random_;
};

}  // namespace fireclaw::overseer
