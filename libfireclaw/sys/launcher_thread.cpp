#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "base/scope.hpp"
#include "sys/launch.hpp"

namespace fireclaw::sys {
namespace {

// "Die with the parent" in Linux means: with the parent's *thread*. Children started by a short-lived worker would be
// killed when it returns, so one thread, started on first use and never ended, starts them all.
//
// It belongs to the process that started it. After fork() in the host program the new process has no such thread, and
// the lock may have been held at that moment; so it makes itself a new Launcher and never touches the old one.
//
// Network and mount namespaces are a thread's own: children started here get those that the thread had which first
// came by. A program that changes namespaces does so before it spawns.
class Launcher {
 public:
  static Launcher& of_this_process() {
    static std::atomic<Launcher*> current{nullptr};
    const pid_t self = ::getpid();
    Launcher* launcher = current.load();
    while (launcher == nullptr || launcher->owner_ != self) {
      auto* fresh = new Launcher{self};
      if (current.compare_exchange_strong(launcher, fresh)) return *fresh;
      delete fresh;
    }
    return *launcher;
  }

  Launched launch(const SpawnSpec& spec) {
    Request request{spec};
    std::unique_lock lock{mutex_};
    if (!started_) start();
    requests_.push_back(&request);
    changed_.notify_all();
    changed_.wait(lock, [&] { return request.done; });
    if (request.failure) std::rethrow_exception(request.failure);
    return std::move(*request.launched);
  }

 private:
  // On the stack of the thread that waits for it.
  struct Request {
    const SpawnSpec& spec;
    std::optional<Launched> launched = std::nullopt;
    std::exception_ptr failure = nullptr;
    bool done = false;
  };

  explicit Launcher(pid_t owner) : owner_{owner} {}

  void start() {
    // The host program's signal handlers never run on a thread that it does not know of.
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const ScopeGuard restore{[&] { pthread_sigmask(SIG_SETMASK, &before, nullptr); }};
    std::thread thread{[this] { run(); }};
    pthread_setname_np(thread.native_handle(), "fireclaw-spawn");
    thread.detach();
    started_ = true;
  }

  [[noreturn]] void run() {
    std::unique_lock lock{mutex_};
    for (;;) {
      changed_.wait(lock, [this] { return !requests_.empty(); });
      Request& request = *requests_.front();
      requests_.pop_front();
      lock.unlock();
      try {
        request.launched = sys::launch(request.spec);
      } catch (...) {
        request.failure = std::current_exception();
      }
      lock.lock();
      request.done = true;
      changed_.notify_all();
    }
  }

  const pid_t owner_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Request*> requests_;
  bool started_ = false;
};

}  // namespace

Launched launch_from_lasting_thread(const SpawnSpec& spec) { return Launcher::of_this_process().launch(spec); }

}  // namespace fireclaw::sys
