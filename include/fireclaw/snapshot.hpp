#pragma once

#include <chrono>
#include <cstdint>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

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
  /// The machine has a network device. What it is connected to is decided at each restore.
  bool network_device = false;
  /// What it takes on disk.
  std::uint64_t bytes = 0;
  /// When it was saved.
  std::chrono::system_clock::time_point created;
  /// Made by Snapshot::create without a name: found by image, engine and machine.
  bool automatic = false;
  /// The agent that was saved, with its disks (AgentManager::snapshot); empty: a machine was saved.
  std::string agent;
  /// Whether it can be restored here and now.
  bool usable = true;
  /// Why not: another engine version, CPU model, image, ...
  std::string reason;
  /// Who asks for it gets a machine even if it cannot be restored: it is made again, or, of an agent, started again
  /// from its disks.
  bool recoverable = false;
};

/// A saved machine. Any number of machines can be restored from it at once; each gets its own identity (host
/// name, machine id, random numbers, clock).
class FIRECLAW_API Snapshot {
 public:
  /// Boots a machine as `config` says, waits until it is ready, saves it and ends it. With an empty `name` it
  /// becomes the one that VMConfig::snapshot = "" finds; one that exists already is kept unless `replace`.
  static Snapshot create(const Host& host, const VMConfig& config, const std::string& name = {}, bool replace = false);
  /// Error(NotFound) if there is none.
  static Snapshot open(const Host& host, const std::string& name);
  /// All snapshots, by name; torn ones are listed as unusable.
  static std::vector<SnapshotInfo> list(const Host& host);
  /// Makes the snapshot that an archive (export_archive()), plain or compressed, holds. `name` empty: as it was called;
  /// automatic ones need a name. info() says whether it can be restored here. Error(Corrupt) or Error(InvalidArgument)
  /// for an archive that is damaged or holds anything else; Error(AlreadyExists) unless `replace`. A snapshot is what
  /// an engine runs: import only those from people you trust.
  static Snapshot import_archive(const Host& host, int fd, const std::string& name = {}, bool replace = false,
                                 std::stop_token stop = {});
  /// Removes it. Machines restored from it are not disturbed.
  static void remove(const Host& host, const std::string& name);

  /// Its name.
  [[nodiscard]] const std::string& name() const { return info_.name; }
  /// What was known of it when this object was made.
  [[nodiscard]] const SnapshotInfo& info() const { return info_; }
  /// Writes it as an archive to a descriptor (it can be a pipe): a tar of its record and files, each with its SHA-256,
  /// with holes where they have them. Error(NotFound), Error(Corrupt) if they are not what was saved.
  void export_archive(const Host& host, int fd, std::stop_token stop = {}) const;
  /// A started machine. Of `config`, the image, CPUs and memory are the snapshot's; a network is possible only if it
  /// has a device: Error(InvalidArgument).
  [[nodiscard]] VM restore(const Host& host, VMConfig config = {}) const;

 private:
  explicit Snapshot(SnapshotInfo info) : info_{std::move(info)} {}
  SnapshotInfo info_;
  friend struct Access;
};

}  // namespace fireclaw
