#include "event_loop.hpp"

#include <poll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

namespace fireclaw::overseer {
namespace {

constexpr std::chrono::hours longest_nap{1};

}  // namespace

EventLoop::EventLoop() : wake_{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)} {
  if (!wake_) throw std::system_error{errno, std::generic_category(), "eventfd"};
}

EventLoop::Id EventLoop::watch(int fd, short events, std::function<void(short)> on_ready) {
  watched_.emplace(next_, Watched{fd, events, std::move(on_ready)});
  return next_++;
}

void EventLoop::change(Id id, short events) {
  if (const auto found = watched_.find(id); found != watched_.end()) found->second.events = events;
}

void EventLoop::cancel(Id id) {
  if (id == 0 || watched_.erase(id) != 0) return;
  const auto found = std::ranges::find_if(timers_, [&](const auto& timer) { return timer.second.id == id; });
  if (found != timers_.end()) timers_.erase(found);
}

EventLoop::Id EventLoop::at(Clock::time_point when, Task task) {
  timers_.emplace(when, Timer{next_, std::move(task)});
  return next_++;
}

void EventLoop::post(Task task) {
  {
    const std::scoped_lock lock{mutex_};
    posted_.push_back(std::move(task));
  }
  const std::uint64_t one = 1;
  // It fails only when the counter is full, and then the loop is awake already.
  if (::write(wake_.get(), &one, sizeof one) != sizeof one) return;
}

int EventLoop::wait_ms() const {
  const Clock::duration nap = timers_.empty() ? Clock::duration{longest_nap} : timers_.begin()->first - Clock::now();
  // Rounded up: waking before the time would only mean another round.
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(std::min<Clock::duration>(nap, longest_nap)).count();
  return static_cast<int>(std::max<std::int64_t>(ms, 0));
}

void EventLoop::run_due() {
  const auto now = Clock::now();
  while (!ending_ && !timers_.empty() && timers_.begin()->first <= now) {
    const auto task = std::move(timers_.begin()->second.task);
    timers_.erase(timers_.begin());
    task();
  }
}

void EventLoop::run_posted() {
  std::uint64_t count = 0;
  if (::read(wake_.get(), &count, sizeof count) != sizeof count) return;
  std::vector<Task> tasks;
  {
    const std::scoped_lock lock{mutex_};
    tasks.swap(posted_);
  }
  for (const auto& task : tasks) task();
}

void EventLoop::run() {
  std::vector<pollfd> fds;
  std::vector<Id> ids;
  ending_ = false;
  while (!ending_) {
    fds.assign(1, {wake_.get(), POLLIN, 0});
    ids.assign(1, 0);
    for (const auto& [id, one] : watched_) {
      fds.push_back({one.fd, one.events, 0});
      ids.push_back(id);
    }
    if (::poll(fds.data(), fds.size(), wait_ms()) < 0 && errno != EINTR) {
      throw std::system_error{errno, std::generic_category(), "poll"};
    }
    if (fds[0].revents != 0) run_posted();
    for (std::size_t i = 1; i < fds.size() && !ending_; ++i) {
      if (fds[i].revents == 0) continue;
      // An earlier callback may have taken it out.
      const auto found = watched_.find(ids[i]);
      if (found == watched_.end()) continue;
      const auto on_ready = found->second.on_ready;
      on_ready(fds[i].revents);
    }
    run_due();
  }
}

}  // namespace fireclaw::overseer
