#pragma once

#include <functional>

#include "common/files/fd.hpp"
#include "event_loop.hpp"

namespace fireclaw::overseer {

/// Turns SIGINT, SIGTERM and SIGHUP into calls on the loop's thread; the second one ends the process at once. Make it
/// before any other thread: it blocks the signals for all of them. SIGPIPE is ignored.
class Signals {
 public:
  Signals();
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  void attach(EventLoop& loop, std::function<void(int)> on_signal);

 private:
  cli::Fd fd_;
  int seen_ = 0;
};

}  // namespace fireclaw::overseer
