#include "waits.hpp"

namespace fireclaw::python {
namespace {

void bind_life(py::class_<MachineManager>& type) {
  type.def("create", waits(&MachineManager::create), py::arg("config"), py::arg("options") = py::none(),
           "create($self, config, options=None)\n--\n\n"
           "Makes a machine and starts it. AlreadyExistsError if there is one of that name; what VMs.run raises. If it "
           "does not\n"
           "start there is none.")
      .def("start", waits(&MachineManager::start), py::arg("name"), py::arg("options") = py::none(),
           "start($self, name, options=None)\n--\n\n"
           "Starts a machine that is stopped, and resumes one that is paused.")
      .def("stop", waits(&MachineManager::stop), py::arg("name"), py::arg("grace") = std::chrono::milliseconds{2000},
           "stop($self, name, grace=2.0)\n--\n\n"
           "Ends it as VM.stop does; it can be started again. Nothing happens if it is stopped.")
      .def("pause", waits(&MachineManager::pause), py::arg("name"),
           "pause($self, name)\n--\n\n"
           "Stops its CPUs. InvalidStateError if it is stopped.")
      .def("resume", waits(&MachineManager::resume), py::arg("name"),
           "resume($self, name)\n--\n\n"
           "Resumes it. InvalidStateError if it is stopped.");
}

void bind_names(py::class_<MachineManager>& type) {
  type.def("remove", waits(&MachineManager::remove), py::arg("name"), py::arg("force") = false,
           "remove($self, name, force=False)\n--\n\n"
           "Removes a machine and its scratch disk; a workspace stays. InvalidStateError if it runs, unless `force`.")
      .def("rename", waits(&MachineManager::rename), py::arg("name"), py::arg("new_name"),
           "rename($self, name, new_name)\n--\n\n"
           "Gives it another name; its host name stays. AlreadyExistsError if that is taken.")
      .def("fork", waits(&MachineManager::fork), py::arg("name"), py::arg("new_name"), py::arg("options") = py::none(),
           "fork($self, name, new_name, options=None)\n--\n\n"
           "Starts another machine from the memory and the scratch disk of one that runs, which stands still for a\n"
           "moment. AlreadyExistsError if the name is taken; InvalidStateError if the machine is stopped or has a "
           "workspace.")
      .def("list", waits(&MachineManager::list),
           "list($self)\n--\n\n"
           "All machines with names, by name.")
      .def("info", waits(&MachineManager::info), py::arg("name"),
           "info($self, name)\n--\n\n"
           "What is known of one. NotFoundError if there is none of that name.")
      .def("tend", waits(&MachineManager::tend),
           "tend($self)\n--\n\n"
           "Stops machines whose ttl has passed and pauses those that nobody has used for their idle time.");
}

}  // namespace

void bind_machines(py::module_& module) {
  py::class_<MachineManager> type{
      module, "MachineManager",
      "Host.machines(): machines with names, which outlive the process that starts them and can be stopped\n"
      "and started again. VMs.attach() takes hold of one."};
  bind_life(type);
  bind_names(type);
}

}  // namespace fireclaw::python
