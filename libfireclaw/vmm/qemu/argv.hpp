#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "vmm/qemu/version.hpp"
#include "vmm/spec.hpp"

namespace fireclaw::vmm::qemu {

/// The QEMU for a machine.
struct Engine {
  std::filesystem::path binary;
  Version version = oldest_version;
  Accelerator accelerator = Accelerator::Tcg;
  std::string cpu_model;
  /// Frequency of the time stamp counter that the guest will see; 0: unknown.
  std::uint64_t tsc_khz = 0;
};

/// The descriptors that QEMU inherits, by the numbers that its command line gives them.
namespace inherited {
inline constexpr int qmp = 3;
/// The first of guest_channels listening sockets.
inline constexpr int guest = 4;
inline constexpr int memory = guest + static_cast<int>(guest_channels);
inline constexpr int console = memory + 1;
inline constexpr int state = console + 1;
/// The first of the network devices' taps, one for each device.
inline constexpr int tap = state + 1;
}  // namespace inherited

enum class Start {
  Cold,     ///< boots the kernel; RAM is the file at inherited::memory itself
  Restore,  ///< waits for a saved state; RAM is a private copy of the file at inherited::memory
};

/// The part of snapshot_identity() that changes whenever to_argv() makes another machine of the same spec.
inline constexpr unsigned machine_revision = 1;

/// QEMU's command line for a machine. Pure: touches no file. Error(Unsupported) if QEMU cannot make the machine, or is
/// to open a tap by its name.
std::vector<std::string> to_argv(const LaunchSpec& spec, const Engine& engine, Start start);

/// Turns the command line of a restored machine into that of a stand-in with the same devices, which takes the
/// machine's state over a stream and never runs: RAM becomes the file at inherited::memory itself, drives become
/// empty, guest channels and taps are unconnected.
std::vector<std::string> to_stand_in_argv(std::vector<std::string> argv);

/// The words that QEMU's machine needs on the kernel's command line.
std::string kernel_arguments(const Engine& engine);

}  // namespace fireclaw::vmm::qemu
