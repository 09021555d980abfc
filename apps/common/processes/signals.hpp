#pragma once

#include <atomic>
#include <functional>
#include <stop_token>
#include <thread>

namespace fireclaw::cli {

/// Turns SIGINT, SIGTERM and SIGHUP into a stop request and SIGWINCH into a callback, on its own thread. A second
/// SIGINT ends the process at once, and its machine with it. Make it before any other thread: it blocks the signals for
/// all of them.
class Signals {
 public:
  Signals();
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;
  ~Signals();

  [[nodiscard]] std::stop_token token() const { return source_.get_token(); }
  /// The signal that asked to stop, or 0.
  [[nodiscard]] int signal() const { return signal_.load(); }

 private:
  void watch(int signal_fd);

  std::stop_source source_;
  std::atomic<int> signal_{0};
  int wake_fd_;
  std::thread thread_;
};

/// Calls `on_resize` on its own thread for each SIGWINCH, until destruction. The signal must be blocked.
class ResizeWatch {
 public:
  explicit ResizeWatch(std::function<void()> on_resize);
  ResizeWatch(const ResizeWatch&) = delete;
  ResizeWatch& operator=(const ResizeWatch&) = delete;
  ~ResizeWatch();

 private:
  int wake_fd_;
  std::thread thread_;
};

}  // namespace fireclaw::cli
