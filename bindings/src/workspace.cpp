#include "waits.hpp"

namespace fireclaw::python {
namespace {

void bind_files(py::class_<Workspace>& type) {
  define(type, methods::Workspace::push(), waits<std::filesystem::path, GuestPath>(&Workspace::push));
  define(type, methods::Workspace::pull(), waits<GuestPath, std::filesystem::path>(&Workspace::pull));
  define(type, methods::Workspace::read_file(),
         [](const Workspace& self, const GuestPath& path, std::size_t max_bytes) {
           return py::bytes(blocking([&] { return self.read_file(path, max_bytes); }));
         });
  define(type, methods::Workspace::write_file(), waits<GuestPath>(&Workspace::write_file));
  define(type, methods::Workspace::remove_path(), waits<GuestPath>(&Workspace::remove_path));
  define(type, methods::Workspace::export_tar(), waits<File>(&Workspace::export_tar));
  define(type, methods::Workspace::export_raw_tar(), waits<File>(&Workspace::export_raw_tar));
  define(type, methods::Workspace::import_tar(), waits<File>(&Workspace::import_tar));
}

}  // namespace

void bind_workspace(py::module_& module) {
  py::class_<Workspaces> all{module, "Workspaces", "Host.workspaces(): a host's disks that outlive machines."};
  define(all, methods::Workspaces::create(), waits(&Workspaces::create));
  define(all, methods::Workspaces::create_from_tar(), waits<WorkspaceConfig, File>(&Workspaces::create_from_tar));
  define(all, methods::Workspaces::open(), waits(&Workspaces::open));
  define(all, methods::Workspaces::list(), waits(&Workspaces::list));
  define(all, methods::Workspaces::remove(), waits(&Workspaces::remove));

  py::class_<Workspace> type{
      module, "Workspace",
      "A disk that outlives machines, with a name. One machine at a time uses it, at /workspace.\n\n"
      "Files can be read and written whether a machine uses it or not. If another process holds the disk\n"
      "without a running machine, calls raise InvalidStateError naming the holder."};
  bind_files(type);
  define(type, methods::Workspace::info(), waits(&Workspace::info));
  define(type, methods::Workspace::check(), waits(&Workspace::check));
  define(type, methods::Workspace::resize(), waits(&Workspace::resize));
  type.def_property_readonly("name", &Workspace::name, "Its name.").def("__repr__", [](const Workspace& self) {
    return "<Workspace " + self.name() + ">";
  });
}

}  // namespace fireclaw::python
