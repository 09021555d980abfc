#include <string>

#include "bindings.hpp"

namespace fireclaw::python {
namespace {

/// Default-made objects of all structs that callers fill in, by name.
template <class... T>
py::dict made_by_default() {
  py::dict objects;
  ((objects[Fields<T>::name] = py::cast(T{})), ...);
  return objects;
}

/// The values of enums, by the enum's name.
template <class... T>
py::dict enumerators() {
  py::dict enums;
  (
      [&] {
        py::list values;
        for (const auto& [value, text] : Enumerators<T>::values) {
          if constexpr (requires { to_string(value); }) {
            values.append(to_string(value));
          } else {
            values.append(text);
          }
        }
        enums[Enumerators<T>::name] = values;
      }(),
      ...);
  return enums;
}

}  // namespace
}  // namespace fireclaw::python

PYBIND11_MODULE(_fireclaw, module) {
  using namespace fireclaw;
  using namespace fireclaw::python;
  py::options options;
  options.disable_function_signatures();
  module.doc() = "libfireclaw's classes; use them from the package fireclaw.";
  note_main_thread();
  bind_errors(module);
  bind_stop(module);
  bind_host(module);
  bind_image(module);
  bind_network(module);
  bind_gateway(module);
  bind_process(module);
  bind_snapshot(module);
  bind_vm(module);
  bind_workspace(module);
  bind_agents(module);
  bind_pool(module);
  bind_machines(module);

  module.def(
      "version", [] { return std::string{version()}; },
      "version()\n--\n\n"
      "The version of the library that is loaded, e.g. \"0.1.0\".");
  module.def(
      "_defaults",
      [] {
        return made_by_default<WindowSize, CopyOptions, ExecOptions, ExecResult, HostOptions, DistributionKernel,
                               KernelFile, KernelUrl, KernelOfImage, BusyboxRoot, DebianRoot, DebianAgentRoot,
                               DirectoryRoot, TarRoot, OciRoot, SetupOptions, UpgradeOptions, ImageConfig, NatOptions,
                               VMConfig, ServiceOptions, WorkspaceConfig, PoolConfig, MachineConfig, AgentSettings,
                               AgentConfig, ForkConfig, StartOptions, AgentStartOptions, BuildOptions>();
      },
      "_defaults()\n"
      "--\n\n"
      "The default of each struct in C++; the tests compare them with the dataclasses.");
  module.def(
      "_enumerators",
      [] {
        return enumerators<CopyLinks, ErrorCode, LogLevel, Engine, StartMode, VMState, CheckStatus, NetworkMode, Egress,
                           GatewayServices, RestartPolicy, ServiceState, AgentState>();
      },
      "_enumerators()\n--\n\n"
      "The values of each enum in C++; the tests compare them with Python's.");
}
