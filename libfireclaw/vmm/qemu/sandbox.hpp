#pragma once

#include <filesystem>

#include "vmm/qemu/argv.hpp"
#include "vmm/sandbox.hpp"
#include "vmm/spec.hpp"

namespace fireclaw::vmm::qemu {

/// The sandbox of a machine's QEMU. Pure, except that it looks at links: QEMU sees no folder of the machine's
/// but an empty one to stand in, since sockets, memory, console and state reach it as descriptors.
sys::Sandbox to_sandbox(const SandboxGround& ground, const LaunchSpec& spec, const Engine& engine, Start start);

/// How a stand-in is shut in (see to_stand_in_argv): it has no drives, and no network.
sys::Sandbox stand_in_sandbox(const SandboxGround& ground, const LaunchSpec& spec, const Engine& engine);

}  // namespace fireclaw::vmm::qemu
