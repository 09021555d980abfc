#include "waits.hpp"

namespace fireclaw::python {

void bind_backup(py::module_& module) {
  py::class_<Backup>(module, "Backup",
                     "What of a home folder cannot be built again: configuration, templates, agents, machines with\n"
                     "names, workspaces, the overseer's settings and audit log.")
      .def_static(
          "create",
          [](const Host& host, const std::filesystem::path& folder, const std::optional<BackupOptions>& given) {
            auto options = given.value_or(BackupOptions{});
            return blocking(options.stop, [&](std::stop_token stop) {
              options.stop = std::move(stop);
              return Backup::create(host, folder, options);
            });
          },
          py::arg("host"), py::arg("folder"), py::arg("options") = py::none(),
          "create(host, folder, options=None)\n--\n\n"
          "Copies it to a new folder, with backup.json. A machine is paused while its disk is copied.\n"
          "AlreadyExistsError, IoError.")
      .def_static(
          "restore", waits(&Backup::restore), py::arg("host"), py::arg("folder"), py::arg("stop") = nullptr,
          "restore(host, folder, stop=None)\n--\n\n"
          "Puts back what create() copied; agents and machines are stopped then. All is checked before the first file\n"
          "is written: CorruptError, InvalidArgumentError, AlreadyExistsError.");
}

}  // namespace fireclaw::python
