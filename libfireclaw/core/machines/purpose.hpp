#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "core/machines/workspace_disk.hpp"
#include "guest/session.hpp"
#include "state/records/snapshots.hpp"
#include "vmm/spec.hpp"

namespace fireclaw::core {

/// What a machine is made for, beyond what VMConfig says: for the library's own use.
struct Purpose {
  enum class Kind {
    Use,
    Save,  ///< only to be saved as a snapshot: its disks are blank and never mounted
  };
  Kind kind = Kind::Use;

  /// The agent that it is for: RunRecord::agent.
  std::string agent;
  /// The name of the machine that it is for: RunRecord::machine.
  std::string machine;
  /// Where its scratch disk is kept when it does not run, and made if it is not there. Empty: it ends with the machine.
  std::filesystem::path kept_scratch;

  /// What has been done in the guest before it is saved, as a short text that changes whenever that does; part of the
  /// snapshot's key. Empty: nothing.
  std::string prepared;
  /// Does it, after the guest has its identity and before its disks are mounted: once in a machine that boots cold,
  /// never in one that was restored, where it is done already. What it starts must therefore wait for the disks.
  std::function<void(guest::Session&)> prepare;

  /// The machine continues from here, and from nowhere else: with this memory, this scratch disk, and this workspace
  /// (which VMConfig names).
  struct Continuation {
    state::SnapshotRecord record;
    vmm::SnapshotFiles files;
    std::filesystem::path scratch;
    /// The scratch disk is for this machine alone: it is moved, not copied.
    bool take_scratch = false;
    /// It holds what that machine's held, byte for byte: the guest has it mounted, so nobody may check or repair it in
    /// between. The machine takes the claim from here.
    std::shared_ptr<WorkspaceDisk> workspace;
  };
  std::optional<Continuation> continues;

  /// The machine has a network device even if it is to have no network.
  bool with_device = false;

  /// Its scratch disk begins as a copy of this one, which is checked first; empty: blank.
  std::filesystem::path scratch_from;

  /// A disk in the place of a workspace's, which VMConfig then does not name.
  struct Disk {
    std::filesystem::path image;
    /// How large it seems to the machine, which has seen it so when it was saved; at least what it is.
    std::uint64_t room = 0;
    bool read_only = false;
    /// Kept open by the engine; borrowed until it has been started. Negative: none.
    int lock = -1;
  };
  std::optional<Disk> disk;

  /// Kind::Save without a workspace's name: how large the workspaces will be; 0: none.
  std::uint64_t workspace_bytes = 0;
};

}  // namespace fireclaw::core
