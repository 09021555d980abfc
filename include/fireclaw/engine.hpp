#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <string_view>

#include "fireclaw/export.hpp"

namespace fireclaw {

/// Which engine runs the machines.
enum class Engine {
  Auto,         ///< the best engine that has booted the image's kernel here, as setup saw it
  Firecracker,  ///< Firecracker on KVM
  Qemu,         ///< QEMU, on KVM where that works, else emulated
  QemuKvm,      ///< QEMU on KVM only
  QemuTcg,      ///< QEMU's emulation only
};

/// "auto", "firecracker", "qemu", "qemu-kvm", "qemu-tcg".
FIRECLAW_API std::string_view to_string(Engine engine) noexcept;
/// Parses what to_string() returns. Error(InvalidArgument) for any other.
FIRECLAW_API Engine engine_from_string(std::string_view text);

/// The result of booting a kernel with an engine on this host.
struct EngineVerdict {
  /// "firecracker", "qemu-kvm", "qemu-tcg".
  std::string engine;
  /// The engine's program.
  std::filesystem::path binary;
  /// The version that it says, as in "7.2.22".
  std::string version;
  /// The CPU model that worked, if the engine offers several.
  std::string cpu_model;
  /// The kernel that it was asked to boot, as `uname -r` says it.
  std::string kernel_release;
  /// SHA-256 of that kernel's file, 64 hexadecimal digits.
  std::string kernel_sha256;
  /// Whether a guest ran.
  bool works = false;
  /// Why not, in one line; empty if it works.
  std::string reason;
  /// From the engine's start to the guest's greeting.
  std::chrono::milliseconds boot_time{0};

  /// Equal in all members.
  bool operator==(const EngineVerdict&) const = default;
};

}  // namespace fireclaw
