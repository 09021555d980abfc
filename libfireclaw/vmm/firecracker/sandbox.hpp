#pragma once

#include "vmm/sandbox.hpp"
#include "vmm/spec.hpp"

namespace fireclaw::vmm::firecracker {

/// The sandbox of a machine's Firecracker. Pure. Firecracker makes its sockets in the machine's folder, and snapshots
/// of the machine, which are then copied from there. `restored`: what the machine is restored from; null: it boots.
sys::Sandbox to_sandbox(const SandboxGround& ground, const LaunchSpec& spec, const SnapshotFiles* restored);

}  // namespace fireclaw::vmm::firecracker
