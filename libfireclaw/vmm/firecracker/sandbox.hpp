#pragma once

#include "vmm/sandbox.hpp"
#include "vmm/spec.hpp"

namespace fireclaw::vmm::firecracker {

/// How the Firecracker of a machine is shut in. Pure. It makes its sockets in the machine's folder, and a snapshot of
/// the machine, which is then copied from there. `restored`: what the machine is restored from; null: it boots.
sys::Sandbox to_sandbox(const SandboxGround& ground, const LaunchSpec& spec, const SnapshotFiles* restored);

}  // namespace fireclaw::vmm::firecracker
