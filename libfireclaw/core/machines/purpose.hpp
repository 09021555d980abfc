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
  /// The file that keeps its scratch disk while it is stopped; made if missing. Empty: the disk ends with the machine.
  std::filesystem::path kept_scratch;

  /// Names the preparation of the guest before it is saved; change the text whenever that changes. Part of the
  /// snapshot's key. Empty: none.
  std::string prepared;
  /// Prepares the guest, after it has its identity and before its disks are mounted. Called once in a machine that
  /// boots, never in a restored one, where it is done already. Programs that it starts must therefore wait for the
  /// disks.
  std::function<void(guest::Session&)> prepare;

  /// The only state that the machine may continue from: this memory, this scratch disk, and this workspace
  /// (which VMConfig names).
  struct Continuation {
    state::SnapshotRecord record;
    vmm::SnapshotFiles files;
    std::filesystem::path scratch;
    /// The scratch disk is for this machine alone: it is moved, not copied.
    bool take_scratch = false;
    /// It is the saved machine's, byte for byte: the guest has it mounted, so nobody may check or repair it in
    /// between. The machine takes the claim from here.
    std::shared_ptr<WorkspaceDisk> workspace;
  };
  std::optional<Continuation> continues;

  /// Gives the machine a network device even without a network.
  bool with_device = false;

  /// Its scratch disk begins as a copy of this one, which is checked first; empty: blank.
  std::filesystem::path scratch_from;

  /// A disk instead of a workspace, which VMConfig then does not name.
  struct Disk {
    std::filesystem::path image;
    /// Its size as the saved machine knows it; at least its real size.
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
