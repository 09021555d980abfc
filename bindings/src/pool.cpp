#include "bindings.hpp"

namespace fireclaw::python {
namespace {

using PoolHandle = Handle<Pool>;

void close(PoolHandle& self) {
  auto pool = self.take();
  py::gil_scoped_release released;
  pool.reset();
}

}  // namespace

void bind_pool(py::module_& module) {
  py::class_<PoolHandle>(
      module, "Pool",
      "Host.vms().pool(): machines that are started ahead. Each is given out once; another is started in its place in\n"
      "the background. The end of `with`, or close(), ends those that were not taken.")
      .def(
          "take",
          [](PoolHandle& self, std::chrono::milliseconds timeout, const StopSource* stop) {
            const auto pool = self.get();
            return VMHandle{blocking(stop != nullptr ? stop->token() : std::stop_token{},
                                     [&](const std::stop_token& token) { return pool->take(timeout, token); })};
          },
          py::arg("timeout") = std::chrono::milliseconds{60'000}, py::arg("stop") = nullptr,
          "take($self, timeout=60.0, stop=None)\n--\n\n"
          "A machine that has answered and has run one command that does nothing. TimeoutError after so many seconds;\n"
          "CancelledError; what the start of a machine raised, if none is ready.")
      .def(
          "ready", [](const PoolHandle& self) { return self.get()->ready(); },
          "ready($self)\n--\n\n"
          "How many machines are ready to be taken.")
      .def("close", &close,
           "close($self)\n--\n\n"
           "Ends the machines that were not taken.")
      .def("__enter__", [](const py::object& self) { return self; })
      .def("__exit__", [](PoolHandle& self, const py::args&) { close(self); });
}

}  // namespace fireclaw::python
