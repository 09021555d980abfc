#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <stop_token>
#include <string>

#include "fireclaw/export.hpp"
#include "fireclaw/vm.hpp"

namespace fireclaw {

/// What is known of a snapshot.
struct SnapshotInfo {
  /// Its name.
  std::string name;
  /// The image that the machine ran.
  std::string image;
  /// "firecracker", "qemu-kvm", "qemu-tcg".
  std::string engine;
  /// Virtual CPUs.
  unsigned cpus = 1;
  /// Memory in MiB.
  unsigned memory_mib = 0;
  /// Whether the machine has a network device. Each restore decides what it is connected to.
  bool network_device = false;
  /// Its size on disk.
  std::uint64_t bytes = 0;
  /// When it was saved.
  std::chrono::system_clock::time_point created;
  /// Made by Snapshots::create() without a name; machines find it by image, engine and size.
  bool automatic = false;
  /// The agent that was saved, with its disks (Agent::snapshot()); empty: a machine was saved.
  std::string agent;
  /// Whether it can be restored here and now.
  bool usable = true;
  /// Why not: another engine version, CPU model, image, ...
  std::string reason;
  /// Whether a start from it works even if it cannot be restored: a machine's is made again, an agent is started again
  /// from its disks.
  bool recoverable = false;
};

/// A saved machine. Any number of machines can be restored from it at once; each gets its own identity (host
/// name, machine id, random numbers, clock). An object holds the snapshot's name, its info and the host: copies name
/// the same snapshot, and destruction leaves it as it is. A moved-from object can only be destroyed or
/// assigned to.
class FIRECLAW_API Snapshot {
 public:
  /// Its name.
  [[nodiscard]] const std::string& name() const;
  /// What was known of it when this object was made.
  [[nodiscard]] const SnapshotInfo& info() const;
  /// Writes it as an archive to a descriptor (it can be a pipe): a tar of its record and files, each with its SHA-256.
  /// Holes of the files are holes of the tar. Error(NotFound); Error(Corrupt) if the files are not what was saved.
  void export_archive(int fd, std::stop_token stop = {}) const;
  /// Starts a machine from it. Image, CPUs and memory are the snapshot's, not those of `config`. Error(InvalidArgument)
  /// if `config` asks for a network and the snapshot has no network device.
  [[nodiscard]] VM restore(VMConfig config = {}, StartOptions options = {}) const;

  struct Impl;

 private:
  explicit Snapshot(std::shared_ptr<const Impl> impl);
  std::shared_ptr<const Impl> impl_;
  friend struct Access;
};

}  // namespace fireclaw
