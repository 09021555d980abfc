#pragma once

#include <string>

#include "core/machines/impl.hpp"
#include "fireclaw/error.hpp"
#include "fireclaw/snapshot.hpp"

namespace fireclaw {

/// The part that copies of a Snapshot share.
struct Snapshot::Impl {
  std::shared_ptr<Host::Impl> host;
  SnapshotInfo info;
};

}  // namespace fireclaw

namespace fireclaw::core {

enum class AfterSave { Resume, End };

/// Saves the machine under `name` (validated; empty: the name of its kind of machine), and lets it continue or ends
/// it. If saving fails, the machine continues and no snapshot is left.
Snapshot save_snapshot(VM::Impl& vm, const std::string& name, bool replace, AfterSave after);

/// Snapshots::create() with a machine made for `purpose` (whose kind is Save).
Snapshot make_snapshot(const std::shared_ptr<Host::Impl>& host, const VMConfig& config, const std::string& name,
                       bool replace, Purpose purpose, StartOptions waiting = {});

/// Runs a command that does nothing. The guest's memory then holds what a command's start reads from the image's disk:
/// restored machines share it and read nothing. In a restored machine it is mapped. In an image without a shell there
/// is nothing to read.
void warm_up(VM::Impl& vm);

/// The error for a name that another snapshot has.
Error snapshot_exists(const std::string& name);

/// Makes the automatic snapshot for a machine as `config` and `key` have it, if there is one of the same kind of
/// machine that no longer fits: its engine or its image has changed since. Returns whether one was made; if it cannot
/// be made, the reason is logged. Error(Cancelled) after a stop.
bool renew_automatic(const std::shared_ptr<Host::Impl>& host, const VMConfig& config, const state::SnapshotKey& key,
                     const std::string& engine, StartOptions waiting);

/// Why the present engine and image cannot restore this snapshot, or empty. Does not look at its files.
std::string misfit(const Host::Impl& host, const state::SnapshotRecord& record);

/// Makes `record`, a snapshot with a name that no longer fits, again for `config`'s machine, if it was made by booting.
/// Error(InvalidState) with the reason otherwise.
state::SnapshotRecord make_again(const std::shared_ptr<Host::Impl>& host, const VMConfig& config,
                                 const state::SnapshotRecord& record, const std::string& reason, StartOptions waiting);

SnapshotInfo describe(const Host::Impl& host, const state::SnapshotRecord& record);

}  // namespace fireclaw::core
