#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

#include "sys/sandbox/sandbox.hpp"
#include "vmm/spec.hpp"

namespace fireclaw::vmm {

/// What an engine's sandbox is planned from beside the machine: what was found on the host.
struct SandboxGround {
  sys::Confinement level = sys::Confinement::None;
  /// What the engine's program is run from.
  std::vector<sys::SandboxEntry> program;
  /// The largest of the machine's writable drives.
  std::uint64_t drive_bytes = 0;
};
/// Looks at the program and the drives. Error(NotFound) if one is not there.
SandboxGround look_at_ground(sys::Confinement level, const std::filesystem::path& program, const LaunchSpec& spec);

/// What the engines' sandboxes have in common: the program, the drives, the devices that every program may use; the
/// machine's user, cgroup and limits. The machine's folder and what else it is made of is for the engine to add.
sys::Sandbox machine_sandbox(const SandboxGround& ground, const LaunchSpec& spec);

/// Adds what is to be read, to be changed, a device.
void show(sys::Sandbox& plan, const std::filesystem::path& path);
void show_writable(sys::Sandbox& plan, const std::filesystem::path& path);
void show_device(sys::Sandbox& plan, const std::filesystem::path& path);

/// Lets the machine's user at a file before the engine starts: everybody may read it, or write it, who reaches it. That
/// is the engine, by its sandbox, and nobody else, since others may not enter the home folder. Does nothing without
/// such a user.
void lend_to_read(const LaunchSpec& spec, const std::filesystem::path& file);
void lend_to_write(const LaunchSpec& spec, const std::filesystem::path& file);
/// All drives.
void lend_drives(const LaunchSpec& spec);
/// The machine's folder and what is in it already.
void lend_folder(const LaunchSpec& spec);

}  // namespace fireclaw::vmm
