#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/host/impl.hpp"
#include "fireclaw/machine.hpp"
#include "state/records/machines.hpp"
#include "state/records/runs.hpp"
#include "sys/file.hpp"

namespace fireclaw::core {

/// The machines' records of a home folder.
state::MachineStore machine_store(const Host::Impl& host);

/// A new machine's record, with a key of its own.
state::MachineRecord record_of_machine(const MachineConfig& config);

/// What each start of the machine begins with. Two settings hold for the first start only and are not
/// in the record: whether a snapshot must be there, and who owns the scratch disk's top folder.
VMConfig config_of_machine(const state::MachineRecord& record);

/// Takes the lock for changes of the machine of this name. Error(Timeout) if another process has it for too long.
sys::FileLock lock_machine(const Host::Impl& host, const std::string& name);

/// Error(NotFound) if no machine has this name.
state::MachineRecord require_machine(const Host::Impl& host, const std::string& name);

/// The run of the machine of this name, if its engine runs.
std::optional<state::RunRecord> run_of_machine(const Host::Impl& host, const std::string& name);

/// The run with this id, or the one of the machine of this name. Error(NotFound) if none of them runs.
state::RunRecord require_run(const Host::Impl& host, const std::string& id_or_name);

/// The error for a use of a stopped machine.
Error machine_stopped(const std::string& name);

}  // namespace fireclaw::core
