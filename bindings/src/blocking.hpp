#pragma once

#include <chrono>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <type_traits>
#include <utility>

#include <pybind11/pybind11.h>

namespace fireclaw::python {

namespace py = pybind11;

/// Remembers which thread Python handles signals on. Once, when the module is loaded.
void note_main_thread();

/// Runs `body`, which uses Python, from a thread of the library: on the thread that called blocking(), where that one
/// waits for its worker, otherwise right here with the GIL. What `body` throws leaves call_python().
void call_python(const std::function<void()>& body);

/// Runs `work` without the GIL; call it with the GIL. Python's signal handlers run only on the main thread, and only
/// when that asks for them: there `work` goes to its own thread, while this one looks for signals and runs the
/// callbacks. A signal handler that raises (Ctrl-C) triggers `stop`; its exception is thrown once `work` is over.
void run_blocking(std::stop_source& stop, const std::function<void()>& work);

/// run_blocking() for a call that takes a stop token, which is triggered by `outer` and by Ctrl-C.
template <class Call>
auto blocking(std::stop_source& source, Call&& call) {
  using Result = std::invoke_result_t<Call, std::stop_token>;
  if constexpr (std::is_void_v<Result>) {
    run_blocking(source, [&] { call(source.get_token()); });
  } else {
    std::optional<Result> result;
    try {
      run_blocking(source, [&] { result.emplace(call(source.get_token())); });
    } catch (...) {
      // A machine that nobody will get ends here, which takes time and may log.
      py::gil_scoped_release released;
      result.reset();
      throw;
    }
    return std::move(*result);
  }
}

template <class Call>
auto blocking(const std::stop_token& outer, Call&& call) {
  std::stop_source source;
  const std::stop_callback link{outer, [&source] { source.request_stop(); }};
  return blocking(source, std::forward<Call>(call));
}

/// The same for a call that cannot be stopped: Ctrl-C takes effect when it is over.
template <class Call>
auto blocking(Call&& call) {
  return blocking(std::stop_token{}, [&](const std::stop_token&) { return call(); });
}

/// Keeps an object whose destructor takes time; it runs without the GIL, wherever the last reference goes.
template <class T>
std::shared_ptr<T> hold(T object) {
  return std::shared_ptr<T>{new T(std::move(object)), [](T* held) {
                              if (PyGILState_Check() == 0) {
                                delete held;
                                return;
                              }
                              py::gil_scoped_release released;
                              delete held;
                            }};
}

}  // namespace fireclaw::python
