#include "fireclaw/pool.hpp"

#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "base/scope.hpp"
#include "core/host/impl.hpp"
#include "core/machines/impl.hpp"
#include "core/machines/snapshots.hpp"
#include "fireclaw/collections.hpp"
#include "fireclaw/error.hpp"
#include "guest/session.hpp"
#include "sys/made_here.hpp"

namespace fireclaw {
namespace {

constexpr std::size_t max_size = 1024;

}  // namespace

/// One thread starts machines while fewer are ready than there should be. It rests after a failure while nobody waits
/// for a machine: a start that cannot work is not tried for ever. Each failure is told to one who waits.
struct Pool::Impl {
  Impl(std::shared_ptr<Host::Impl> the_host, PoolConfig the_config, std::chrono::milliseconds start_timeout)
      : host{std::move(the_host)}, config{std::move(the_config)}, timeout{start_timeout} {
    config.machine.detached = false;
    filler = std::thread{[this] { fill(); }};
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl() {
    {
      const std::scoped_lock lock{mutex};
      closing = true;
    }
    filler_stop.request_stop();
    changed.notify_all();
    filler.join();
  }

  void fill() {
    std::unique_lock lock{mutex};
    for (;;) {
      changed.wait(lock,
                   [&] { return closing || (machines.size() < config.size && !failure && (!rests || waiting > 0)); });
      if (closing) return;
      lock.unlock();
      std::exception_ptr problem;
      std::shared_ptr<VM::Impl> started;
      try {
        started = start_one();
      } catch (...) {
        problem = std::current_exception();
      }
      lock.lock();
      failure = problem;
      rests = problem != nullptr;
      if (started) machines.push_back(std::move(started));
      changed.notify_all();
    }
  }

  [[nodiscard]] std::shared_ptr<VM::Impl> start_one() const {
    auto machine = std::make_shared<VM::Impl>(host, config.machine, core::Purpose{},
                                              StartOptions{timeout, filler_stop.get_token()});
    machine->start();
    core::warm_up(*machine);
    const auto deadline = Deadline::after(timeout);
    machine->session(deadline, machine->waiting.stop)->ping(deadline);
    // The pool's end is not to stop what its taker does.
    machine->waiting.stop = {};
    return machine;
  }

  const sys::MadeHere made_here;
  std::shared_ptr<Host::Impl> host;
  PoolConfig config;
  std::chrono::milliseconds timeout;
  std::stop_source filler_stop;
  mutable std::mutex mutex;
  std::condition_variable_any changed;
  std::deque<std::shared_ptr<VM::Impl>> machines;
  std::exception_ptr failure;
  /// The last start has failed.
  bool rests = false;
  /// Calls of take() that have no machine yet.
  std::size_t waiting = 0;
  bool closing = false;
  std::thread filler;
};

Pool::Pool(std::unique_ptr<Impl> impl) : impl_{std::move(impl)} {}
Pool::Pool(Pool&&) noexcept = default;
Pool& Pool::operator=(Pool&& other) noexcept {
  Pool before{std::exchange(impl_, std::move(other.impl_))};
  return *this;
}
Pool::~Pool() {
  // In a process forked from the owner there is no thread to join, and waiting for it would never end.
  if (impl_ && !impl_->made_here.holds()) static_cast<void>(impl_.release());
}

Pool VMs::pool(PoolConfig config, std::chrono::milliseconds start_timeout) const {
  if (config.size < 1 || config.size > max_size) {
    throw Error{ErrorCode::InvalidArgument,
                fmt::format("a pool must have 1 to {} machines, not {}", max_size, config.size)};
  }
  // Made and dropped: a fault in the configuration is reported here, not at the first take().
  const auto& host = Access::impl(host_);
  static_cast<void>(VM::Impl{host, config.machine, core::Purpose{}, {start_timeout, {}}});
  return Pool{std::make_unique<Pool::Impl>(host, std::move(config), start_timeout)};
}

VM Pool::take(std::chrono::milliseconds timeout, std::stop_token stop) {
  impl_->made_here.require("the pool");
  std::unique_lock lock{impl_->mutex};
  // What failed before somebody wanted a machine is tried again.
  if (impl_->waiting == 0) impl_->failure = nullptr;
  ++impl_->waiting;
  const ScopeGuard leave{[&] {
    --impl_->waiting;
    impl_->changed.notify_all();
  }};
  impl_->changed.notify_all();
  const bool settled = impl_->changed.wait_for(lock, stop, timeout,
                                               [&] { return !impl_->machines.empty() || impl_->failure != nullptr; });
  if (!settled) {
    if (stop.stop_requested()) throw Error{ErrorCode::Cancelled, "waiting for a machine of the pool was cancelled"};
    throw Error{ErrorCode::Timeout, fmt::format("no machine of the pool was ready within {} ms", timeout.count())};
  }
  if (impl_->machines.empty()) std::rethrow_exception(std::exchange(impl_->failure, nullptr));
  auto machine = std::move(impl_->machines.front());
  impl_->machines.pop_front();
  return Access::vm(std::move(machine));
}

std::size_t Pool::ready() const {
  impl_->made_here.require("the pool");
  const std::scoped_lock lock{impl_->mutex};
  return impl_->machines.size();
}

}  // namespace fireclaw
