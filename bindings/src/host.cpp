#include "waits.hpp"

namespace fireclaw::python {

void bind_host(py::module_& module) {
  py::class_<Host> type{module, "Host",
                        "A home folder opened with options; everything else is made from one.\n\n"
                        "Safe from several threads; several processes may use one home folder at once."};
  define_static(type, methods::Host::open(), [](const py::object& options) {
    const auto given = options.is_none() ? type_named("default_host_options")() : options;
    if (!py::isinstance(given, type_named("HostOptions"))) {
      throw py::type_error("Host.open() takes HostOptions(home=...), not " + py::repr(given).cast<std::string>());
    }
    const auto converted = given.cast<HostOptions>();
    return blocking([&] { return Host::open(converted); });
  });
  type.def_property_readonly("home", &Host::home, "The home folder.")
      .def_property_readonly(
          "is_set_up", [](const Host& self) { return blocking([&] { return self.is_set_up(); }); },
          "Whether setup has been completed here.")
      .def("__repr__", [](const Host& self) { return text("Host(home=" + self.home().string() + ")"); });
  define(type, methods::Host::setup(), waits(&Host::setup));
  define(type, methods::Host::upgrade(), waits(&Host::upgrade));
  define(type, methods::Host::doctor(), waits(&Host::doctor));
  define(type, methods::Host::engines(), waits(&Host::engines));
  define(type, methods::Host::probe(), waits(&Host::probe));
  define(type, methods::Host::back_up(), waits(&Host::back_up));
  define(type, methods::Host::restore(), waits(&Host::restore));
  define(type, methods::Host::collect_garbage(), waits(&Host::collect_garbage));
  define(type, methods::Host::vms(), &Host::vms);
  define(type, methods::Host::machines(), &Host::machines);
  define(type, methods::Host::images(), &Host::images);
  define(type, methods::Host::snapshots(), &Host::snapshots);
  define(type, methods::Host::workspaces(), &Host::workspaces);
  define(type, methods::Host::agents(), [](const Host& self) { return hold(self.agents()); });
  define(type, methods::Host::network(), &Host::network);
  define(type, methods::Host::gateway(), &Host::gateway);
  define(type, methods::Host::secrets(), &Host::secrets);
  define(type, methods::Host::llm_servers(), &Host::llm_servers);
}

}  // namespace fireclaw::python
