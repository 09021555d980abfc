#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "base/deadline.hpp"
#include "core/machines/impl.hpp"
#include "core/machines/purpose.hpp"
#include "core/machines/workspace_disk.hpp"
#include "state/records/agents.hpp"
#include "state/records/snapshots.hpp"

namespace fireclaw::core {

/// An agent at one moment: its machine's memory, its disks, its settings.
struct AgentCopy {
  state::SnapshotRecord record;
  vmm::SnapshotFiles files;
  state::SavedDisks disks;
  /// Owns the files; nullopt: they belong to a snapshot.
  std::optional<state::SnapshotDraft> draft;
  /// Since give_workspace(): reserved for the machine that continues from here.
  std::shared_ptr<WorkspaceDisk> workspace;
  /// Why no machine can continue from the memory here and now; empty: one can.
  std::string misfit;
  /// How long the agent's machine was paused for it.
  std::chrono::nanoseconds paused_for{0};

  /// For the machine that continues from here. Valid as long as this object.
  [[nodiscard]] Purpose::Continuation continuation() const;
};

/// The part of an agent's record that its user gave: its settings.
state::AgentRecord settings_of(state::AgentRecord agent);

/// Copies the agent in the running `machine`, which continues, into a draft for the snapshot `name`. The caller holds
/// the agent's lock. Error(Io) with both figures, before the machine is paused, if there is too little room.
AgentCopy copy_agent(VM::Impl& machine, const state::AgentRecord& agent, const std::string& name, Deadline deadline,
                     const std::stop_token& stop);

/// Opens the copy that was saved as snapshot `name`; its memory may no longer fit (AgentCopy::misfit).
/// Error(NotFound); Error(Corrupt); Error(InvalidArgument) if the snapshot is not of an agent.
AgentCopy open_copy(const Host::Impl& host, const std::string& name);

/// Error(AlreadyExists) if there is a workspace of that name.
void require_no_workspace(const Host::Impl& host, const std::string& name);
/// Makes the copy's workspace the one of that name, and keeps it reserved. Error(AlreadyExists).
void give_workspace(const Host::Impl& host, AgentCopy& copy, const std::string& name);

}  // namespace fireclaw::core
