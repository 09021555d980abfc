#include "waits.hpp"

namespace fireclaw::python {

void bind_snapshot(py::module_& module) {
  py::class_<Snapshots> all{module, "Snapshots", "Host.snapshots(): a host's saved machines."};
  define(all, methods::Snapshots::create(), waits(&Snapshots::create));
  define(all, methods::Snapshots::open(), waits(&Snapshots::open));
  define(all, methods::Snapshots::list(), waits(&Snapshots::list));
  define(all, methods::Snapshots::remove(), waits(&Snapshots::remove));
  define(all, methods::Snapshots::import_archive(), waits<File>(&Snapshots::import_archive));

  py::class_<Snapshot> type{module, "Snapshot",
                            "A saved machine. Any number of machines can be restored from it at once; each gets its "
                            "own\nidentity."};
  define(type, methods::Snapshot::export_archive(), waits<File>(&Snapshot::export_archive));
  define(type, methods::Snapshot::restore(), waits(&Snapshot::restore));
  type.def_property_readonly("name", &Snapshot::name, "Its name.")
      .def_property_readonly("info", &Snapshot::info, "What was known of it when this object was made.")
      .def("__repr__", [](const Snapshot& self) { return "<Snapshot " + self.name() + ">"; });
}

}  // namespace fireclaw::python
