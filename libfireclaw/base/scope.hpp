#pragma once

#include <functional>
#include <utility>
#include <vector>

namespace fireclaw {

/// Runs a function when the scope is left, unless released.
template <typename F>
class [[nodiscard]] ScopeGuard {
 public:
  explicit ScopeGuard(F action) : action_{std::move(action)} {}
  ScopeGuard(const ScopeGuard&) = delete;
  ScopeGuard& operator=(const ScopeGuard&) = delete;
  ~ScopeGuard() {
    if (armed_) action_();
  }
  void release() noexcept { armed_ = false; }

 private:
  F action_;
  bool armed_ = true;
};

/// Undo steps, run in reverse order when the scope is left without commit(). A step that throws is swallowed
/// and the others still run.
class [[nodiscard]] Rollback {
 public:
  Rollback() = default;
  Rollback(const Rollback&) = delete;
  Rollback& operator=(const Rollback&) = delete;
  ~Rollback() {
    for (auto step = steps_.rbegin(); step != steps_.rend(); ++step) {
      try {
        (*step)();
      } catch (...) {
        // Nobody is left to tell; the remaining steps matter more.
      }
    }
  }
  void push(std::function<void()> undo) { steps_.push_back(std::move(undo)); }
  void commit() noexcept { steps_.clear(); }

 private:
  std::vector<std::function<void()>> steps_;
};

}  // namespace fireclaw
