#pragma once

#include <memory>
#include <string>

#include "core/machines/impl.hpp"
#include "core/machines/purpose.hpp"
#include "fireclaw/snapshot.hpp"

/// Prepared machines: programs in them already run when they are restored. The snapshot of such a machine is found by
/// the key of a plain one and by Purpose::prepared.
namespace fireclaw::core {

/// Starts a machine for `purpose`, configured and with its disks mounted: restored from its prepared snapshot, or, if
/// there is none, booted and prepared now. VMConfig::start decides as always which of these are allowed.
std::shared_ptr<VM::Impl> start_prepared(const std::shared_ptr<Host::Impl>& host, VMConfig config, Purpose purpose);

/// Boots such a machine with blank disks, prepares it, saves it and ends it. One that exists is kept.
/// Uses `prepared` and `prepare` of the purpose, and `workspace_bytes` if `config` names no workspace.
Snapshot save_prepared(const std::shared_ptr<Host::Impl>& host, const VMConfig& config, Purpose purpose,
                       StartOptions waiting = {});

/// What to do with a machine that belongs to another living process.
enum class Owned { Refuse, Attach };
/// Attaches to a running machine by its id or its name. Error(NotFound) if there is none, Error(InvalidState) if it
/// belongs to another process or is still being started.
std::shared_ptr<VM::Impl> attach_machine(const std::shared_ptr<Host::Impl>& host, const std::string& id, Owned owned);

}  // namespace fireclaw::core
