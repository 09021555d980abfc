#pragma once

#include <unistd.h>

#include <memory>
#include <stop_token>
#include <utility>

#include <fireclaw/fireclaw.hpp>

#include <pybind11/pybind11.h>

#include "blocking.hpp"
#include "convert.hpp"

namespace fireclaw::python {

/// A C++ object that ends something when it is destroyed, for Python, where it can be closed before that. Calls keep
/// the object alive until they return, also when another thread closes it. All members want the GIL.
template <class T>
class Handle {
 public:
  explicit Handle(T object) : object_{hold(std::move(object))} {}

  /// Error(InvalidState) once it is closed.
  [[nodiscard]] std::shared_ptr<T> get() const {
    if (!object_) throw Error{ErrorCode::InvalidState, "this object has been closed; make another one"};
    return object_;
  }
  /// The object, which is closed from now on; null if it was.
  std::shared_ptr<T> take() { return std::exchange(object_, nullptr); }
  [[nodiscard]] bool closed() const { return object_ == nullptr; }
  /// The process that it is for. In a child that was forked from that one it does nothing, not even when it is closed.
  [[nodiscard]] pid_t process() const { return process_; }
  [[nodiscard]] bool inert() const { return process_ != ::getpid(); }

 private:
  std::shared_ptr<T> object_;
  pid_t process_ = ::getpid();
};

/// A command that runs, and what ends it: its waiter's being interrupted, or the caller's own stop token.
template <class Command>
struct Running {
  Command command;
  std::shared_ptr<StopSource> stop;
};

using VMHandle = Handle<VM>;
using ProcessHandle = Handle<Running<Process>>;

template <class Start>
auto start_command(ExecOptions options, Start&& start) {
  using Command = std::invoke_result_t<Start, ExecOptions>;
  auto stop = std::make_shared<StopSource>(options.stop);
  options.stop = stop->token();
  return Handle<Running<Command>>{
      Running<Command>{blocking([&] { return start(std::move(options)); }), std::move(stop)}};
}

/// Waits for a command's end; Ctrl-C ends it.
template <class Command>
ExecResult wait_for(const Handle<Running<Command>>& handle) {
  const auto running = handle.get();
  return blocking(running->stop->source(), [&](const std::stop_token&) { return running->command.wait(); });
}

/// Tells the size of the command's terminal.
template <class Command>
void resize(const Handle<Running<Command>>& handle, WindowSize size) {
  const auto running = handle.get();
  blocking([&] { running->command.resize(size); });
}

inline std::stop_token token_of(const StopSource* stop) { return stop != nullptr ? stop->token() : std::stop_token{}; }

/// The descriptor of an open file or socket, or a plain number.
inline int descriptor(const py::object& file) {
  const int fd = PyObject_AsFileDescriptor(file.ptr());
  if (fd < 0) throw py::error_already_set{};
  return fd;
}

void bind_errors(py::module_& module);
void bind_stop(py::module_& module);
void bind_host(py::module_& module);
void bind_image(py::module_& module);
void bind_network(py::module_& module);
void bind_gateway(py::module_& module);
void bind_vm(py::module_& module);
void bind_process(py::module_& module);
void bind_snapshot(py::module_& module);
void bind_workspace(py::module_& module);
void bind_agents(py::module_& module);
void bind_pool(py::module_& module);
void bind_machines(py::module_& module);

}  // namespace fireclaw::python
