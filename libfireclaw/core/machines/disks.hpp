#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "core/host/impl.hpp"
#include "core/machines/purpose.hpp"
#include "core/machines/workspace_disk.hpp"
#include "fireclaw/vm.hpp"
#include "guest/session.hpp"
#include "state/records/snapshots.hpp"
#include "vmm/spec.hpp"

namespace fireclaw::core {

/// Sizes of a machine's writable disks; 0: it has no such disk. A snapshot depends on them, not on the disks' content.
struct DiskSizes {
  std::uint64_t scratch_bytes = 0;
  std::uint64_t workspace_bytes = 0;

  bool operator==(const DiskSizes&) const = default;
  [[nodiscard]] bool any() const { return scratch_bytes != 0 || workspace_bytes != 0; }
};

/// Error(InvalidArgument) if the snapshot `name` is of a machine with other disks than is now wanted.
void check_disks(const state::SnapshotKey& saved, const state::SnapshotKey& wanted, const std::string& name);

/// The sizes of a running machine's disks.
DiskSizes disk_sizes(const Host::Impl& host, const state::RunRecord& record);

/// The scratch disk's place in its machine's folder.
std::filesystem::path scratch_disk(const std::filesystem::path& run_dir);

/// As the key of a snapshot has it: "scratch=67108864 workspace=1073741824", or empty.
std::string to_text(const DiskSizes& sizes);

/// The writable disks of one machine, in this order after its root: scratch, workspace. Owns the claim on the workspace
/// until the engine has it. The machine's own files are in its folder and end with it, except a kept scratch disk
/// (Purpose::kept_scratch).
class MachineDisks {
 public:
  /// Checks the configuration and claims the workspace, or takes the claim that Purpose::continues brings along; a
  /// machine that is only to be saved (Purpose::save) gets blank disks of the same sizes instead, and claims nothing.
  /// Throws as claim_workspace() does.
  MachineDisks(const Host::Impl& host, const VMConfig& config, const Purpose& purpose);

  [[nodiscard]] const DiskSizes& sizes() const { return sizes_; }
  /// Makes the files that the machine needs in its folder (not the engine's), and adds all disks to its specification.
  void attach(const Host::Impl& host, const std::filesystem::path& folder, vmm::LaunchSpec& spec);
  /// Call once the engine has been started: it then owns the claim.
  void hand_over() { workspace_.reset(); }
  /// Whether the scratch disk takes writes to the root file system, which is possible only in a machine that boots.
  [[nodiscard]] bool scratch_is_root() const { return sizes_.scratch_bytes != 0 && scratch_target_ == "/"; }
  /// The mounts for the guest.
  [[nodiscard]] std::vector<guest::Mount> mounts() const;

 private:
  void make_scratch(const Host::Impl& host, const std::filesystem::path& file) const;

  const Purpose::Kind kind_;
  const std::string scratch_target_;
  const std::uint32_t scratch_uid_;
  const std::uint32_t scratch_gid_;
  /// Purpose::continues has the scratch disk; else it is made again.
  const std::filesystem::path scratch_source_;
  const bool take_scratch_;
  const std::filesystem::path kept_scratch_;
  const std::filesystem::path scratch_from_;
  DiskSizes sizes_;
  std::optional<WorkspaceDisk> workspace_;
  /// Purpose::disk.
  const std::optional<Purpose::Disk> disk_;
};

}  // namespace fireclaw::core
