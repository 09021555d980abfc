#pragma once

#include <memory>
#include <string>

#include "core/machines/impl.hpp"
#include "core/machines/purpose.hpp"
#include "fireclaw/snapshot.hpp"

/// Machines in which something is up already when they are restored. A snapshot of such a machine is found by what its
/// plain one is found by, and by Purpose::prepared.
namespace fireclaw::core {

/// A started machine for `purpose`, configured and with its disks mounted: restored from the snapshot that was prepared
/// so, or booted and prepared now if there is none. VMConfig::start decides as always whether either will do.
std::shared_ptr<VM::Impl> start_prepared(const std::shared_ptr<Host::Impl>& host, VMConfig config, Purpose purpose);

/// Boots such a machine with blank disks, prepares it, saves it and ends it. One that exists is kept.
/// Of the purpose, `prepared` and `prepare` count, and `workspace_bytes` where `config` names no workspace.
Snapshot save_prepared(const std::shared_ptr<Host::Impl>& host, const VMConfig& config, Purpose purpose,
                       StartOptions waiting = {});

/// What to do about a machine that belongs to another process, which lives.
enum class Owned { Refuse, Attach };
/// Takes hold of a machine that runs, by its id or its name. Error(NotFound) if there is none, Error(InvalidState) if
/// it belongs to somebody or is still being started.
std::shared_ptr<VM::Impl> attach_machine(const std::shared_ptr<Host::Impl>& host, const std::string& id, Owned owned);

}  // namespace fireclaw::core
