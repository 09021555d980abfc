#pragma once

#include <string>

#include "core/host/impl.hpp"
#include "state/records/runs.hpp"
#include "sys/process.hpp"

namespace fireclaw::core {

/// Kills the engine and waits until it has ended. False if it is gone already. Error(Timeout) if it cannot be killed.
bool end_engine(const sys::ProcessId& engine, const std::string& run);

/// Ends the machine whose record this is, no matter who started it, waits until it has ended, and undoes everything
/// that was made for it. Also finds an engine whose starter was killed before it could be written down. True if an
/// engine was running. Error(Timeout) as end_engine().
bool end_run(const Host::Impl& host, const state::RunRecord& record);

}  // namespace fireclaw::core
