#include "waits.hpp"

namespace fireclaw::python {

void bind_machines(py::module_& module) {
  py::class_<MachineManager> type{
      module, "MachineManager",
      "Host.machines(): machines with names, which outlive the process that starts them and can be stopped\n"
      "and started again. VMs.attach() gives a handle to one."};
  define(type, methods::MachineManager::create(), waits(&MachineManager::create));
  define(type, methods::MachineManager::start(), waits(&MachineManager::start));
  define(type, methods::MachineManager::stop(), waits(&MachineManager::stop));
  define(type, methods::MachineManager::pause(), waits(&MachineManager::pause));
  define(type, methods::MachineManager::resume(), waits(&MachineManager::resume));
  define(type, methods::MachineManager::remove(), waits(&MachineManager::remove));
  define(type, methods::MachineManager::rename(), waits(&MachineManager::rename));
  define(type, methods::MachineManager::fork(), waits(&MachineManager::fork));
  define(type, methods::MachineManager::list(), waits(&MachineManager::list));
  define(type, methods::MachineManager::info(), waits(&MachineManager::info));
  define(type, methods::MachineManager::tend(), waits(&MachineManager::tend));
}

}  // namespace fireclaw::python
