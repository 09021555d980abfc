#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/kernel.hpp"

namespace fireclaw::vmm {

enum class Accelerator { Kvm, Tcg };

constexpr std::string_view to_string(Accelerator accelerator) noexcept {
  return accelerator == Accelerator::Kvm ? "kvm" : "tcg";
}

struct Kernel {
  std::filesystem::path file;
  KernelFormat format = KernelFormat::BzImage;
  VirtioBus bus = VirtioBus::Pci;

  bool operator==(const Kernel&) const = default;
};

/// A block device. In the guest the drives appear in this order (vda, vdb, ...).
struct Drive {
  /// Letters, digits, underscore.
  std::string id;
  std::filesystem::path path;
  bool read_only = true;
  /// The most that is read and written together in a second; 0: no limit.
  std::uint64_t bytes_per_second = 0;

  bool operator==(const Drive&) const = default;
};

/// A host tap that exists already.
struct TapBackend {
  std::string name;
  /// Its descriptor, which the engine inherits; the engine has to take it so (Capabilities::tap_descriptors), or by its
  /// name.
  std::optional<int> descriptor = std::nullopt;
  bool operator==(const TapBackend&) const = default;
};
/// The engine's own user-mode network (needs no privileges). QEMU only.
struct UserBackend {
  bool operator==(const UserBackend&) const = default;
};
/// The device leads nowhere. QEMU only.
struct NoBackend {
  bool operator==(const NoBackend&) const = default;
};
using NicBackend = std::variant<TapBackend, UserBackend, NoBackend>;

struct Nic {
  /// Letters, digits, underscore.
  std::string id;
  /// "02:fc:00:00:00:01"
  std::string mac;
  NicBackend backend;

  bool operator==(const Nic&) const = default;
};

/// What a machine is; how an engine makes it is the engine's business.
struct LaunchSpec {
  /// The run's id: letters, digits, '-', 1–64 characters.
  std::string id;
  /// The machine's own folder (exists, mode 0700): sockets, console log, the engine's log. The engine's working
  /// directory, and all that it can make files in.
  std::filesystem::path run_dir;
  Kernel kernel;
  std::filesystem::path initramfs;
  /// For guestd; the engine adds what its machine needs (console, reboot method, clock source).
  std::string cmdline;
  std::vector<Drive> drives;
  std::vector<Nic> nics;
  unsigned vcpus = 1;
  unsigned memory_mib = 128;
  /// Kill the engine when this process ends.
  bool die_with_parent = true;
  /// Descriptors of this process that the engine's process keeps open, unused, until it ends: a lock that is held by
  /// one lives exactly as long as the engine. Borrowed while the machine is being started.
  std::vector<int> inherit;
  /// The user and group that the engine runs as, which nobody else has; only for root, and where the driver's
  /// confinement is full. nullopt: the caller's.
  std::optional<uid_t> user;
  /// The folder of the cgroup that the engine joins; empty: the caller's.
  std::filesystem::path cgroup;
  /// Where the taps are that it opens by name, if not in this process's network namespace: descriptors of the user
  /// namespace and the network namespace that the engine enters. Borrowed while the machine is being started.
  std::optional<std::pair<int, int>> network_namespace = std::nullopt;

  bool operator==(const LaunchSpec&) const = default;
};

/// A machine's saved state. The memory file is mapped privately by every restored machine and must not change while
/// one lives (unlinking is fine).
struct SnapshotFiles {
  std::filesystem::path state;
  std::filesystem::path memory;

  bool operator==(const SnapshotFiles&) const = default;
};

/// How many concurrent connect_guest() connections a machine offers.
inline constexpr unsigned guest_channels = 4;
/// vsock port on which guestd listens, and the host port it dials once it is ready (Firecracker).
inline constexpr unsigned guest_vsock_port = 1024;
inline constexpr unsigned ready_vsock_port = 1025;

}  // namespace fireclaw::vmm
