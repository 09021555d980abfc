#include "fireclaw/collections.hpp"

namespace fireclaw {

VMs Host::vms() const { return VMs{*this}; }
MachineManager Host::machines() const { return MachineManager{*this}; }
Images Host::images() const { return Images{*this}; }
Snapshots Host::snapshots() const { return Snapshots{*this}; }
Workspaces Host::workspaces() const { return Workspaces{*this}; }
Agents Host::agents() const { return Agents{*this}; }
HostNetwork Host::network() const { return HostNetwork{*this}; }

}  // namespace fireclaw
