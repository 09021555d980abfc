#include "waits.hpp"

namespace fireclaw::python {
namespace {

void bind_collection(py::module_& module) {
  py::class_<Workspaces>(module, "Workspaces", "Host.workspaces(): a host's disks that outlive machines.")
      .def("create", waits(&Workspaces::create), py::arg("config"),
           "create($self, config)\n--\n\n"
           "A new one, which holds MEMORY.md and an empty folder memory. AlreadyExistsError if the name is taken;\n"
           "InvalidArgumentError for a name or size that cannot be.")
      .def(
          "create_from_tar",
          [](const Workspaces& self, const WorkspaceConfig& config, const py::object& tar, const StopSource* stop) {
            const int fd = descriptor(tar);
            return blocking(token_of(stop),
                            [&](const std::stop_token& token) { return self.create_from_tar(config, fd, token); });
          },
          py::arg("config"), py::arg("tar"), py::arg("stop") = nullptr,
          "create_from_tar($self, config, tar, stop=None)\n--\n\n"
          "A new one that holds what is in the tar (plain or compressed) read from an open file, from where its\n"
          "descriptor stands. On failure there is none.")
      .def("open", waits(&Workspaces::open), py::arg("name"),
           "open($self, name)\n--\n\n"
           "The workspace of that name. NotFoundError if there is none; CorruptError if its record is torn.")
      .def("list", waits(&Workspaces::list),
           "list($self)\n--\n\n"
           "All, by name; of broken ones `problem` says what is wrong.")
      .def("remove", waits(&Workspaces::remove), py::arg("name"),
           "remove($self, name)\n--\n\n"
           "Removes a workspace and all in it, also a broken one. NotFoundError; InvalidStateError while somebody has "
           "it.");
}

void bind_files(py::class_<Workspace>& type) {
  type.def(
          "push",
          [](Workspace& self, const std::filesystem::path& source, const std::filesystem::path& target,
             const StopSource* stop) {
            return blocking(token_of(stop),
                            [&](const std::stop_token& token) { return self.push(source, target.string(), token); });
          },
          py::arg("source"), py::arg("target"), py::arg("stop") = nullptr,
          "push($self, source, target, stop=None)\n--\n\n"
          "Copies a host file or folder in, as cp -a does. NotFoundError, CancelledError.")
      .def(
          "pull",
          [](Workspace& self, const std::filesystem::path& source, const std::filesystem::path& target,
             const StopSource* stop) {
            return blocking(token_of(stop),
                            [&](const std::stop_token& token) { return self.pull(source.string(), target, token); });
          },
          py::arg("source"), py::arg("target"), py::arg("stop") = nullptr,
          "pull($self, source, target, stop=None)\n--\n\n"
          "Copies a file or folder out; it then belongs to the calling user. NotFoundError, CancelledError.")
      .def(
          "read_file",
          [](const Workspace& self, const std::filesystem::path& path, std::size_t max_bytes) {
            return py::bytes(blocking([&] { return self.read_file(path.string(), max_bytes); }));
          },
          py::arg("path"), py::arg("max_bytes") = std::size_t{1} << 20,
          "read_file($self, path, max_bytes=1048576)\n--\n\n"
          "A file's content. InvalidArgumentError if it is longer than `max_bytes`, or no file; NotFoundError.")
      .def(
          "write_file",
          [](Workspace& self, const std::filesystem::path& path, const std::string& content, unsigned mode) {
            blocking([&] { self.write_file(path.string(), content, mode); });
          },
          py::arg("path"), py::arg("content"), py::arg("mode") = 0644,
          "write_file($self, path, content, mode=420)\n--\n\n"
          "Writes or replaces a file (bytes, or str as UTF-8); the folder it is in must exist.")
      .def(
          "remove_path",
          [](Workspace& self, const std::filesystem::path& path) {
            blocking([&] { self.remove_path(path.string()); });
          },
          py::arg("path"),
          "remove_path($self, path)\n--\n\n"
          "Removes a file, or a folder with all in it. NotFoundError.")
      .def(
          "export_tar",
          [](const Workspace& self, const py::object& file, const StopSource* stop) {
            const int fd = descriptor(file);
            blocking(token_of(stop), [&](const std::stop_token& token) { self.export_tar(fd, token); });
          },
          py::arg("file"), py::arg("stop") = nullptr,
          "export_tar($self, file, stop=None)\n--\n\n"
          "Writes all that is in it as a tar to an open file or pipe (through its descriptor: flush it before).")
      .def(
          "export_raw_tar",
          [](const Workspace& self, const py::object& file, const StopSource* stop) {
            const int fd = descriptor(file);
            blocking(token_of(stop), [&](const std::stop_token& token) { self.export_raw_tar(fd, token); });
          },
          py::arg("file"), py::arg("stop") = nullptr,
          "export_raw_tar($self, file, stop=None)\n--\n\n"
          "The same with device nodes, set-id bits and capabilities: unpacked by root, it gives the rights that a "
          "guest "
          "chose.")
      .def(
          "import_tar",
          [](Workspace& self, const py::object& file, const StopSource* stop) {
            const int fd = descriptor(file);
            blocking(token_of(stop), [&](const std::stop_token& token) { self.import_tar(fd, token); });
          },
          py::arg("file"), py::arg("stop") = nullptr,
          "import_tar($self, file, stop=None)\n--\n\n"
          "Unpacks a tar, plain or compressed, over what is in it, with the owners that the tar says.");
}

}  // namespace

void bind_workspace(py::module_& module) {
  bind_collection(module);
  py::class_<Workspace> type{
      module, "Workspace",
      "A disk that outlives machines, with a name. One machine at a time has it, at /workspace.\n\n"
      "Files go in and out whether a machine has it or not. While another process has the disk, and\n"
      "not for a running machine, calls throw InvalidStateError naming the holder."};
  bind_files(type);
  type.def_property_readonly("name", &Workspace::name, "Its name.")
      .def(
          "info", [](const Workspace& self) { return blocking([&] { return self.info(); }); },
          "info($self)\n--\n\n"
          "Its size, what is taken (in bytes), and who has it.")
      .def(
          "check", [](Workspace& self) { return blocking([&] { return self.check(); }); },
          "check($self)\n--\n\n"
          "Looks at everything and repairs what is damaged. InvalidStateError while somebody has it; CorruptError if\n"
          "it is beyond repair.")
      .def(
          "resize", [](Workspace& self, std::uint64_t size_mib) { blocking([&] { self.resize(size_mib); }); },
          py::arg("size_mib"),
          "resize($self, size_mib)\n--\n\n"
          "Makes it larger or smaller, in MiB. InvalidStateError while somebody has it, or if its content does not "
          "fit.")
      .def("__repr__", [](const Workspace& self) { return "<Workspace " + self.name() + ">"; });
}

}  // namespace fireclaw::python
