#include "blocking.hpp"

#include <condition_variable>
#include <mutex>
#include <thread>

#include <fireclaw/error.hpp>

namespace fireclaw::python {
namespace {

/// How long a Ctrl-C may go unnoticed.
constexpr std::chrono::milliseconds signal_interval{50};

unsigned long main_thread = 0;

/// Between a worker and the thread that waits for it: the worker hands over callbacks, one at a time.
class Relay {
 public:
  /// Worker: has `body` run by the waiting thread and waits for it.
  void post(const std::function<void()>& body) {
    std::unique_lock lock{mutex_};
    body_ = &body;
    error_ = nullptr;
    changed_.notify_all();
    changed_.wait(lock, [this] { return body_ == nullptr; });
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
  }

  /// Worker: the last thing it does.
  void finish() {
    const std::lock_guard lock{mutex_};
    finished_ = true;
    changed_.notify_all();
  }

  /// Waiting thread: a callback to run, or null after the interval or at the end.
  const std::function<void()>* next() {
    std::unique_lock lock{mutex_};
    changed_.wait_for(lock, signal_interval, [this] { return body_ != nullptr || finished_; });
    return body_;
  }

  /// Waiting thread: the callback has been run.
  void answer(std::exception_ptr error) {
    const std::lock_guard lock{mutex_};
    error_ = std::move(error);
    body_ = nullptr;
    changed_.notify_all();
  }

  [[nodiscard]] bool finished() const {
    const std::lock_guard lock{mutex_};
    return finished_;
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  const std::function<void()>* body_ = nullptr;
  std::exception_ptr error_;
  bool finished_ = false;
};

/// The relay of the worker that runs on this thread, if it is one.
thread_local Relay* current_relay = nullptr;

std::exception_ptr run_callback(const std::function<void()>& body) {
  try {
    body();
    return nullptr;
  } catch (...) {
    return std::current_exception();
  }
}

/// What a signal handler raised, if one was due and did.
std::exception_ptr check_signals() {
  if (PyErr_CheckSignals() == 0) return nullptr;
  return std::make_exception_ptr(py::error_already_set{});
}

}  // namespace

void note_main_thread() {
  main_thread = py::module_::import("threading").attr("main_thread")().attr("ident").cast<unsigned long>();
}

void call_python(const std::function<void()>& body) {
  if (current_relay != nullptr) {
    current_relay->post(body);
    return;
  }
  py::gil_scoped_acquire acquired;
  body();
}

void run_blocking(std::stop_source& stop, const std::function<void()>& work) {
  if (PyThread_get_thread_ident() != main_thread) {
    py::gil_scoped_release released;
    work();
    return;
  }
  Relay relay;
  std::exception_ptr failure;
  std::exception_ptr interrupt;
  {
    py::gil_scoped_release released;
    std::thread worker{[&] {
      current_relay = &relay;
      failure = run_callback(work);
      relay.finish();
    }};
    while (!relay.finished()) {
      const auto* body = relay.next();
      if (body != nullptr && interrupt) {
        relay.answer(std::make_exception_ptr(Error{ErrorCode::Cancelled, "interrupted"}));
        continue;
      }
      if (interrupt) continue;
      {
        py::gil_scoped_acquire acquired;
        if (body != nullptr) relay.answer(run_callback(*body));
        interrupt = check_signals();
      }
      if (interrupt) stop.request_stop();
    }
    worker.join();
  }
  if (interrupt) std::rethrow_exception(interrupt);
  if (failure) std::rethrow_exception(failure);
}

}  // namespace fireclaw::python
