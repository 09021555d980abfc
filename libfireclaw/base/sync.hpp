#pragma once

#include <mutex>
#include <utility>

namespace fireclaw {

/// A value that can only be reached with its lock held. Never hold the lock across I/O or a callback.
template <typename T>
class Sync {
 public:
  Sync() = default;
  explicit Sync(T value) : value_{std::move(value)} {}

  /// Runs `f(value)` with the lock held and returns what it returns.
  template <typename F>
  decltype(auto) with(F&& f) {
    const std::scoped_lock lock{mutex_};
    return std::forward<F>(f)(value_);
  }
  template <typename F>
  decltype(auto) with(F&& f) const {
    const std::scoped_lock lock{mutex_};
    return std::forward<F>(f)(value_);
  }

 private:
  mutable std::mutex mutex_;
  T value_{};
};

}  // namespace fireclaw
