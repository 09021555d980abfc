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

/// An agent at one moment: its machine's memory, its disks, what it was told.
struct AgentCopy {
  state::SnapshotRecord record;
  vmm::SnapshotFiles files;
  state::SavedDisks disks;
  /// Keeps the files, which are nobody else's then. nullopt: they are a snapshot's.
  std::optional<state::SnapshotDraft> draft;
  /// Since give_workspace(): reserved for the machine that continues from here.
  std::shared_ptr<WorkspaceDisk> workspace;
  /// Why nothing can continue from the memory here and now; empty: it fits.
  std::string misfit;
  /// How long the agent's machine stood still for it.
  std::chrono::nanoseconds stood_still{0};

  /// For the machine that is to continue from here. Of use for as long as this object is there.
  [[nodiscard]] Purpose::Continuation continuation() const;
};

/// Of an agent's record, what it was told.
state::AgentRecord settings_of(state::AgentRecord agent);

/// Copies the agent that runs in `machine`, which runs on, into a draft for the snapshot `name`. The caller holds the
/// agent's lock. Error(Io) with both figures if there is too little room for it, before the machine is stopped.
AgentCopy copy_agent(VM::Impl& machine, const state::AgentRecord& agent, const std::string& name, Deadline deadline,
                     const std::stop_token& stop);

/// What was saved as snapshot `name`; its memory may be of no use any more (AgentCopy::misfit). Error(NotFound),
/// Error(Corrupt); Error(InvalidArgument) if it is of no agent.
AgentCopy open_copy(const Host::Impl& host, const std::string& name);

/// Error(AlreadyExists) if there is a workspace of that name.
void require_no_workspace(const Host::Impl& host, const std::string& name);
/// Makes the copy's workspace the one of that name, and keeps it reserved. Error(AlreadyExists).
void give_workspace(const Host::Impl& host, AgentCopy& copy, const std::string& name);

}  // namespace fireclaw::core
