#include "bindings.hpp"
#include "methods.hpp"

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
  py::class_<PoolHandle> type{
      module, "Pool",
      "Host.vms().pool(): machines that are started ahead. Each is given out once; another is started in its place in\n"
      "the background. The end of `with`, or close(), ends those that were not taken."};
  define(type, methods::Pool::take(), [](PoolHandle& self, std::chrono::milliseconds timeout, const StopSource* stop) {
    const auto pool = self.get();
    return VMHandle{blocking(token_of(stop), [&](const std::stop_token& token) { return pool->take(timeout, token); })};
  });
  define(type, methods::Pool::ready(), [](const PoolHandle& self) { return self.get()->ready(); });
  define(type, methods::Pool::close(), &close);
  type.def("__enter__", [](const py::object& self) { return self; })
      .def("__exit__", [](PoolHandle& self, const py::args&) { close(self); });
}

}  // namespace fireclaw::python
