#include "convert.hpp"

namespace fireclaw::python {
namespace {

/// A callable that may be copied and dropped by any thread, with or without the GIL.
std::shared_ptr<py::object> shared(const py::object& callable) {
  return {new py::object(callable), [](py::object* held) {
            // When the interpreter is on its way out, nobody can use it any more; its memory goes with the process.
            if (_Py_IsFinalizing() != 0) return;
            py::gil_scoped_acquire acquired;
            delete held;
          }};
}

void must_be_callable(const py::object& object) {
  if (PyCallable_Check(object.ptr()) == 0) throw py::cast_error("not callable");
}

}  // namespace

py::object type_named(const char* name) { return py::module_::import("fireclaw._types").attr(name); }

py::str text(std::string_view bytes) {
  auto* decoded = PyUnicode_DecodeUTF8(bytes.data(), static_cast<Py_ssize_t>(bytes.size()), "replace");
  if (decoded == nullptr) throw py::error_already_set{};
  return py::reinterpret_steal<py::str>(decoded);
}

std::string string_of(py::handle object) {
  if (PyUnicode_Check(object.ptr()) != 0) {
    const auto encoded = py::reinterpret_steal<py::object>(PyUnicode_EncodeFSDefault(object.ptr()));
    if (encoded) return encoded.cast<std::string>();
    PyErr_Clear();
    throw py::cast_error("it has a character that no file's name can have");
  }
  if (PyMemoryView_Check(object.ptr()) != 0) return object.attr("tobytes")().cast<std::string>();
  return object.cast<std::string>();
}

OutputCallback output_callback(const py::object& callable) {
  if (callable.is_none()) return {};
  must_be_callable(callable);
  return [held = shared(callable)](std::string_view bytes) {
    call_python([&] { (*held)(py::bytes(bytes.data(), bytes.size())); });
  };
}

ProgressCallback progress_callback(const py::object& callable) {
  if (callable.is_none()) return {};
  must_be_callable(callable);
  return [held = shared(callable)](const Progress& progress) {
    call_python([&] {
      (*held)(type_named("Progress")(text(progress.step), progress.done, progress.total, progress.finished));
    });
  };
}

LogSink log_sink(const py::object& callable) {
  if (callable.is_none()) return {};
  must_be_callable(callable);
  return [held = shared(callable)](LogLevel level, std::string_view message) {
    if (_Py_IsFinalizing() != 0) return;
    // Not handed to a waiting thread: the library may log while it holds that one up.
    py::gil_scoped_acquire acquired;
    try {
      (*held)(type_named("LogLevel")(text(to_string(level))), text(message));
    } catch (py::error_already_set& error) {
      error.discard_as_unraisable("fireclaw's log sink");
    }
  };
}

ExecOptions exec_options(const py::object& command, const py::kwargs& keywords) {
  return type_named("exec_options")(command, **keywords).cast<ExecOptions>();
}

double seconds_of(py::handle value) {
  const auto number = py::hasattr(value, "total_seconds") ? py::object{value.attr("total_seconds")()}
                                                          : py::reinterpret_borrow<py::object>(value);
  const double seconds = PyFloat_AsDouble(number.ptr());
  if (PyErr_Occurred() != nullptr) throw py::error_already_set{};
  // The longest that nanoseconds in 64 bits can say is 292 years.
  if (!std::isfinite(seconds) || std::abs(seconds) > 9.0e9) {
    throw py::value_error("a duration must be a finite number of seconds, at most 9e9");
  }
  return seconds;
}

py::object datetime_of(std::chrono::system_clock::time_point time) {
  const auto datetime = py::module_::import("datetime");
  const std::chrono::duration<double> since_epoch = time.time_since_epoch();
  return datetime.attr("datetime").attr("fromtimestamp")(since_epoch.count(), datetime.attr("timezone").attr("utc"));
}

std::chrono::system_clock::time_point time_of(py::handle datetime) {
  const std::chrono::duration<double> since_epoch{datetime.attr("timestamp")().cast<double>()};
  return std::chrono::system_clock::time_point{
      std::chrono::duration_cast<std::chrono::system_clock::duration>(since_epoch)};
}

}  // namespace fireclaw::python
