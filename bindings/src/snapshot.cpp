#include "bindings.hpp"

namespace fireclaw::python {

void bind_snapshot(py::module_& module) {
  py::class_<Snapshot>(module, "Snapshot",
                       "A saved machine. Any number of machines can be restored from it at once; each gets its own\n"
                       "identity.")
      .def_static(
          "create",
          [](const Host& host, const std::optional<VMConfig>& given, const std::string& name, bool replace) {
            auto config = given.value_or(VMConfig{});
            return blocking(config.stop, [&](std::stop_token stop) {
              config.stop = std::move(stop);
              return Snapshot::create(host, config, name, replace);
            });
          },
          py::arg("host"), py::arg("config") = py::none(), py::arg("name") = "", py::arg("replace") = false,
          "create(host, config=None, name='', replace=False)\n--\n\n"
          "Boots a machine, waits until it is ready, saves it and ends it.\n\n"
          "Without a name it becomes the one that VMConfig(snapshot=\"\") finds. AlreadyExistsError, VmmError,\n"
          "TimeoutError, CancelledError.")
      .def_static(
          "open",
          [](const Host& host, const std::string& name) {
            return blocking([&] { return Snapshot::open(host, name); });
          },
          py::arg("host"), py::arg("name"),
          "open(host, name)\n--\n\n"
          "The snapshot of that name. NotFoundError if there is none.")
      .def_static(
          "list", [](const Host& host) { return blocking([&] { return Snapshot::list(host); }); }, py::arg("host"),
          "list(host)\n--\n\n"
          "All snapshots, by name; torn ones are listed as unusable.")
      .def_static(
          "remove", [](const Host& host, const std::string& name) { blocking([&] { Snapshot::remove(host, name); }); },
          py::arg("host"), py::arg("name"),
          "remove(host, name)\n--\n\n"
          "Machines restored from it live on. NotFoundError.")
      .def_static(
          "import_archive",
          [](const Host& host, const py::object& file, const std::string& name, bool replace, const StopSource* stop) {
            const int fd = descriptor(file);
            return blocking(token_of(stop), [&](const std::stop_token& token) {
              return Snapshot::import_archive(host, fd, name, replace, token);
            });
          },
          py::arg("host"), py::arg("file"), py::arg("name") = "", py::arg("replace") = false, py::arg("stop") = nullptr,
          "import_archive(host, file, name='', replace=False, stop=None)\n--\n\n"
          "Makes the snapshot that an archive holds, read from an open file or pipe. Import only those of whom you\n"
          "trust. CorruptError, InvalidArgumentError, AlreadyExistsError.")
      .def(
          "export_archive",
          [](const Snapshot& self, const Host& host, const py::object& file, const StopSource* stop) {
            const int fd = descriptor(file);
            blocking(token_of(stop), [&](const std::stop_token& token) { self.export_archive(host, fd, token); });
          },
          py::arg("host"), py::arg("file"), py::arg("stop") = nullptr,
          "export_archive($self, host, file, stop=None)\n--\n\n"
          "Writes it as an archive to an open file or pipe (through its descriptor: flush it before).")
      .def_property_readonly("name", &Snapshot::name, "Its name.")
      .def_property_readonly("info", &Snapshot::info, "What was known of it when this object was made.")
      .def(
          "restore",
          [](const Snapshot& self, const Host& host, const std::optional<VMConfig>& given) {
            auto config = given.value_or(VMConfig{});
            return VMHandle{blocking(config.stop, [&](std::stop_token stop) {
              config.stop = std::move(stop);
              return self.restore(host, config);
            })};
          },
          py::arg("host"), py::arg("config") = py::none(),
          "restore($self, host, config=None)\n--\n\n"
          "A started machine. Image, CPUs and memory are the snapshot's. InvalidArgumentError for a network if the\n"
          "snapshot has no network device.")
      .def("__repr__", [](const Snapshot& self) { return "<Snapshot " + self.name() + ">"; });
}

}  // namespace fireclaw::python
