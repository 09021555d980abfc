#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <vector>

#include "common/files/fd.hpp"

namespace fireclaw::overseer {

/// One thread's poll(2) loop: callbacks for descriptors, for points in time, and for work that other threads hand over.
/// All members but post() belong to the thread that calls run(). Callbacks may add and remove anything.
class EventLoop {
 public:
  using Clock = std::chrono::steady_clock;
  using Task = std::function<void()>;
  using Id = std::uint64_t;

  EventLoop();

  /// Calls `on_ready` with what poll(2) found. The descriptor is borrowed.
  Id watch(int fd, short events, std::function<void(short)> on_ready);
  void change(Id id, short events);
  /// Ends the watch of a descriptor or a time; does nothing if it is over.
  void cancel(Id id);
  Id at(Clock::time_point when, Task task);
  Id after(Clock::duration delay, Task task) { return at(Clock::now() + delay, std::move(task)); }
  /// From any thread: runs `task` on the loop's.
  void post(Task task);

  /// Until quit().
  void run();
  void quit() { ending_ = true; }

 private:
  struct Watched {
    int fd;
    short events;
    std::function<void(short)> on_ready;
  };
  struct Timer {
    Id id;
    Task task;
  };

  void run_due();
  void run_posted();
  [[nodiscard]] int wait_ms() const;

  Id next_ = 1;
  bool ending_ = false;
  std::map<Id, Watched> watched_;
  std::multimap<Clock::time_point, Timer> timers_;
  cli::Fd wake_;
  std::mutex mutex_;
  std::vector<Task> posted_;
};

}  // namespace fireclaw::overseer
