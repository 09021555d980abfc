#include "waits.hpp"

namespace fireclaw::python {
namespace {

/// host.NAME()
template <class Type, class Get>
void bind_collection(Type& type, const char* name, Get get, const char* meaning) {
  type.def(name, get, (std::string{name} + "($self)\n--\n\n" + meaning).c_str());
}

}  // namespace

void bind_host(py::module_& module) {
  py::class_<Host> type(module, "Host",
                        "A home folder opened with options; everything else is made from one.\n\n"
                        "Safe from several threads; several processes may use one home folder at once.");
  type.def_static(
          "open",
          [](const py::object& options) {
            const auto given = options.is_none() ? type_named("default_host_options")() : options;
            if (!py::isinstance(given, type_named("HostOptions"))) {
              throw py::type_error("Host.open() takes HostOptions(home=...), not " +
                                   py::repr(given).cast<std::string>());
            }
            const auto converted = given.cast<HostOptions>();
            return blocking([&] { return Host::open(converted); });
          },
          py::arg("options") = py::none(),
          "open(options=None)\n--\n\n"
          "Opens the home folder, made if missing. Runs nothing.\n\n"
          "Without options: $FIRECLAW_HOME, else ~/.fireclaw. CorruptError if its config.json is torn or foreign;\n"
          "PermissionDeniedError if the folder belongs to somebody else.")
      .def_property_readonly("home", &Host::home, "The home folder.")
      .def_property_readonly(
          "is_set_up", [](const Host& self) { return blocking([&] { return self.is_set_up(); }); },
          "Whether setup has been completed here.")
      .def("setup", waits(&Host::setup), py::arg("options") = py::none(),
           "setup($self, options=None)\n--\n\n"
           "Prepares the home folder: kernel, built-in image, engines, first snapshot.\n\n"
           "Steps that are done are skipped, so it can be called again after an interruption. CancelledError after a\n"
           "stop.")
      .def("upgrade", waits(&Host::upgrade), py::arg("options") = py::none(),
           "upgrade($self, options=None)\n--\n\n"
           "Makes again what is old in the home folder: images, snapshots, what is known of engines.\n\n"
           "Agents and machines that run are left alone. InvalidStateError before the first setup.")
      .def(
          "doctor", [](const Host& self) { return blocking([&] { return self.doctor(); }); },
          "doctor($self)\n--\n\n"
          "What works here, what is missing, and what mends it. Boots nothing.")
      .def(
          "engines", [](const Host& self) { return blocking([&] { return self.engines(); }); },
          "engines($self)\n--\n\n"
          "What was seen when engines were asked to boot kernels here.")
      .def(
          "probe",
          [](Host& self, const std::string& image, const StopSource* stop) {
            return blocking(stop != nullptr ? stop->token() : std::stop_token{},
                            [&](const std::stop_token& token) { return self.probe(image, token); });
          },
          py::arg("image"), py::arg("stop") = nullptr,
          "probe($self, image, stop=None)\n--\n\n"
          "Boots `image` with every engine there is and records what was seen.\n\n"
          "Takes up to 15 s for each engine that hangs, 90 s for emulation. NotFoundError, CancelledError.")
      .def(
          "back_up", waits(&Host::back_up), py::arg("folder"), py::arg("options") = py::none(),
          "back_up($self, folder, options=None)\n--\n\n"
          "Copies what of the home folder cannot be built again to a new folder: configuration, templates, agents,\n"
          "machines with names, workspaces, the overseer's settings and audit log. A machine is paused while its disk\n"
          "is copied. AlreadyExistsError, InvalidArgumentError, IoError, CancelledError.")
      .def("restore", waits(&Host::restore), py::arg("folder"), py::arg("stop") = nullptr,
           "restore($self, folder, stop=None)\n--\n\n"
           "Puts back what back_up() copied; agents and machines are stopped then. All is checked before the first "
           "file\n"
           "is written: NotFoundError if it is not a backup, CorruptError, InvalidArgumentError, AlreadyExistsError,\n"
           "CancelledError.")
      .def(
          "collect_garbage", [](Host& self) { return blocking([&] { return self.collect_garbage(); }); },
          "collect_garbage($self)\n--\n\n"
          "Ends machines whose owner is gone and removes what interrupted work left behind.")
      .def("__repr__", [](const Host& self) { return text("Host(home=" + self.home().string() + ")"); });
  bind_collection(type, "vms", &Host::vms, "Its machines.");
  bind_collection(type, "machines", &Host::machines,
                  "Its machines with names, which outlive the process that starts them.");
  bind_collection(type, "images", &Host::images, "What machines are made from.");
  bind_collection(type, "snapshots", &Host::snapshots, "Saved machines.");
  bind_collection(type, "workspaces", &Host::workspaces, "Disks that outlive machines.");
  bind_collection(
      type, "agents", [](const Host& self) { return hold(self.agents()); }, "Its agents.");
  bind_collection(type, "network", &Host::network, "The network that machines share.");
  bind_collection(type, "gateway", &Host::gateway, "The program between machines and the outside.");
  bind_collection(type, "secrets", &Host::secrets, "Keys and passwords that the gateway uses.");
  bind_collection(type, "llm_servers", &Host::llm_servers, "The servers of language models that its agents can ask.");
}

}  // namespace fireclaw::python
