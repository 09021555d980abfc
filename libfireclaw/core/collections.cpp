#include "fireclaw/collections.hpp"

#include <utility>

#include "fireclaw/gateway.hpp"
#include "fireclaw/llm.hpp"

namespace fireclaw {

VMs Host::vms() const { return VMs{*this}; }
MachineManager Host::machines() const { return MachineManager{*this}; }
Images Host::images() const { return Images{*this}; }
Snapshots Host::snapshots() const { return Snapshots{*this}; }
Workspaces Host::workspaces() const { return Workspaces{*this}; }
AgentManager Host::agents() const { return AgentManager{*this}; }
Network Host::network() const { return Network{*this}; }
Gateway Host::gateway() const { return Gateway{*this}; }
Secrets Host::secrets() const { return Secrets{*this}; }
LlmServers Host::llm_servers() const { return LlmServers{*this}; }

ExecResult run(const Host& host, ExecOptions options, VMConfig config) {
  return host.vms().run(std::move(config)).exec(std::move(options));
}

ExecResult run(const Host& host, std::string line, VMConfig config) {
  return run(host, ExecOptions::shell(std::move(line)), std::move(config));
}

}  // namespace fireclaw
