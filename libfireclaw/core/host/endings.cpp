#include "core/host/endings.hpp"

#include <poll.h>
#include <pthread.h>
#include <signal.h>

#include <deque>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "base/scope.hpp"
#include "json/record.hpp"
#include "sys/file.hpp"
#include "sys/made_here.hpp"
#include "sys/poll.hpp"
#include "sys/stat_line.hpp"

namespace fireclaw::core {
namespace {

constexpr std::chrono::seconds end_limit{10};

/// The engine that was left to end last.
struct Ending {
  static constexpr unsigned schema = 1;
  sys::ProcessId process;
};

void describe(auto& field, json::Is<Ending> auto& ending) {
  field.schema(Ending::schema);
  field("process", ending.process);
}

std::optional<sys::ProcessId> read_note(const std::filesystem::path& note) {
  try {
    return json::read_record<Ending>(json::Value::parse_file(note)).process;
  } catch (const Error&) {
    // There is none yet.
    return std::nullopt;
  }
}

}  // namespace

struct Endings::Queue {
  struct Entry {
    std::unique_ptr<vmm::Instance> machine;
    std::optional<sys::EndingChild> helper;
  };
  std::mutex mutex;
  std::deque<Entry> entries;
  bool has_thread = false;
  /// The thread is in no process that was forked since.
  sys::MadeHere made_here;

  /// With the lock held. The host program's signal handlers never run on a thread that it does not know of.
  static void start_thread(const std::shared_ptr<Queue>& queue) {
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const ScopeGuard restore{[&] { pthread_sigmask(SIG_SETMASK, &before, nullptr); }};
    std::thread thread{[queue] { queue->reap(); }};
    pthread_setname_np(thread.native_handle(), "fireclaw-reap");
    thread.detach();
    queue->has_thread = true;
  }

  void reap() {
    for (;;) {
      std::unique_lock lock{mutex};
      if (entries.empty()) {
        has_thread = false;
        return;
      }
      const auto entry = std::move(entries.front());
      entries.pop_front();
      lock.unlock();
      entry.machine->kill();
    }
  }
};

Endings::Endings(std::filesystem::path note) : note_{std::move(note)}, queue_{std::make_shared<Queue>()} {}

bool Endings::leaves_zombies() const {
  const auto last = read_note(note_);
  return last && !sys::is_alive(*last) && sys::identify_even_ended(last->pid) == last;
}

void Endings::add(std::unique_ptr<vmm::Instance> machine, std::optional<sys::EndingChild> helper) noexcept {
  try {
    if (!queue_->made_here.holds() || leaves_zombies()) return machine->kill();
    sys::replace_runtime_file(note_, json::record_text(Ending{machine->record().process}));
    const std::scoped_lock lock{queue_->mutex};
    if (queue_->entries.size() < most) {
      queue_->entries.push_back({std::move(machine), std::move(helper)});
      if (!queue_->has_thread) Queue::start_thread(queue_);
      return;
    }
  } catch (const std::exception&) {
    // No room for a note or a thread: the end is waited for here.
  }
  if (machine) machine->kill();
}

bool Endings::await_last() const {
  const auto last = read_note(note_);
  const auto process = last ? sys::open_pidfd_even_ended(*last) : std::nullopt;
  constexpr auto at_once = std::chrono::nanoseconds{0};
  if (!process || sys::wait_fd(process->get(), POLLIN, Deadline::after(at_once)) == sys::WaitResult::Ready)
    return false;
  return sys::wait_fd(process->get(), POLLIN, Deadline::after(end_limit)) == sys::WaitResult::Ready;
}

}  // namespace fireclaw::core
