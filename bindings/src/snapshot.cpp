#include "waits.hpp"

namespace fireclaw::python {

namespace {

void bind_collection(py::module_& module) {
  py::class_<Snapshots>(module, "Snapshots", "Host.snapshots(): a host's saved machines.")
      .def("create", waits(&Snapshots::create), py::arg("config") = py::none(), py::arg("name") = "",
           py::arg("replace") = false, py::arg("options") = py::none(),
           "create($self, config=None, name='', replace=False, options=None)\n--\n\n"
           "Boots a machine, waits until it is ready, saves it and ends it.\n\n"
           "Without a name it becomes the one that VMConfig(snapshot=\"\") finds. AlreadyExistsError, VmmError,\n"
           "TimeoutError, CancelledError.")
      .def("open", waits(&Snapshots::open), py::arg("name"),
           "open($self, name)\n--\n\n"
           "The snapshot of that name. NotFoundError if there is none.")
      .def("list", waits(&Snapshots::list),
           "list($self)\n--\n\n"
           "All snapshots, by name; torn ones are listed as unusable.")
      .def("remove", waits(&Snapshots::remove), py::arg("name"),
           "remove($self, name)\n--\n\n"
           "Machines restored from it live on. NotFoundError.")
      .def(
          "import_archive",
          [](const Snapshots& self, const py::object& file, const std::string& name, bool replace,
             const StopSource* stop) {
            const int fd = descriptor(file);
            return blocking(token_of(stop), [&](const std::stop_token& token) {
              return self.import_archive(fd, name, replace, token);
            });
          },
          py::arg("file"), py::arg("name") = "", py::arg("replace") = false, py::arg("stop") = nullptr,
          "import_archive($self, file, name='', replace=False, stop=None)\n--\n\n"
          "Makes the snapshot that an archive holds, read from an open file or pipe. Import only those from people\n"
          "you trust. CorruptError, InvalidArgumentError, AlreadyExistsError.");
}

}  // namespace

void bind_snapshot(py::module_& module) {
  bind_collection(module);
  py::class_<Snapshot>(module, "Snapshot",
                       "A saved machine. Any number of machines can be restored from it at once; each gets its own\n"
                       "identity.")
      .def(
          "export_archive",
          [](const Snapshot& self, const py::object& file, const StopSource* stop) {
            const int fd = descriptor(file);
            blocking(token_of(stop), [&](const std::stop_token& token) { self.export_archive(fd, token); });
          },
          py::arg("file"), py::arg("stop") = nullptr,
          "export_archive($self, file, stop=None)\n--\n\n"
          "Writes it as an archive to an open file or pipe (through its descriptor: flush it before).")
      .def_property_readonly("name", &Snapshot::name, "Its name.")
      .def_property_readonly("info", &Snapshot::info, "What was known of it when this object was made.")
      .def("restore", waits(&Snapshot::restore), py::arg("config") = py::none(), py::arg("options") = py::none(),
           "restore($self, config=None, options=None)\n--\n\n"
           "A started machine. Image, CPUs and memory are the snapshot's. InvalidArgumentError for a network if the\n"
           "snapshot has no network device.")
      .def("__repr__", [](const Snapshot& self) { return "<Snapshot " + self.name() + ">"; });
}

}  // namespace fireclaw::python
