#include <string>

#include "bindings.hpp"
#include "methods.hpp"

namespace fireclaw::python {
namespace {

py::object python_error(const std::exception_ptr& failure);

py::object from_error(const Error& error) {
  py::list contexts;
  for (const auto& context : error.contexts()) contexts.append(text(context));
  const auto cause = error.cause() ? python_error(error.cause()) : py::none();
  return py::module_::import("fireclaw._errors")
      .attr("_make")(text(to_string(error.code())), text(error.what()), text(error.message()), py::tuple{contexts},
                     cause);
}

/// The exception that stands for `failure`; None for what is not a fireclaw::Error.
py::object python_error(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const Error& error) {
    return from_error(error);
  } catch (const py::error_already_set& error) {
    return error.value();
  } catch (...) {
    return py::none();
  }
}

}  // namespace

void bind_errors(py::module_& /*module*/) {
  py::register_exception_translator([](std::exception_ptr failure) {
    try {
      if (failure) std::rethrow_exception(failure);
    } catch (const Error& error) {
      try {
        const auto exception = from_error(error);
        PyErr_SetObject(py::type::handle_of(exception).ptr(), exception.ptr());
      } catch (py::error_already_set& problem) {
        problem.restore();
      }
    }
  });
}

void bind_stop(py::module_& module) {
  py::class_<StopSource> type{
      module, "StopSource",
      "Cancels the calls that got it as `stop`: from another thread, or when a task is cancelled.\n\n"
      "One source can be given to any number of calls. With a parent, it stops when that does."};
  type.def(py::init([](const StopSource* parent) {
             return std::make_unique<StopSource>(parent != nullptr ? parent->token() : std::stop_token{});
           }),
           py::arg("parent") = py::none());
  define(type, methods::StopSource::request_stop(), [](StopSource& self) {
    py::gil_scoped_release released;
    self.source().request_stop();
  });
  define(type, methods::StopSource::stop_requested(),
         [](const StopSource& self) { return self.token().stop_requested(); });
}

}  // namespace fireclaw::python
