#pragma once

#include <memory>

#include "core/host/impl.hpp"
#include "state/records/runs.hpp"

namespace fireclaw::core {

/// Whether a machine may be paused because the process that copied it was killed.
bool is_abandoned(const state::RunRecord& run);

/// Resumes it if so, and changes nothing else. The caller holds the lock of the agent or the name that the machine runs
/// for, so that nobody begins to copy it meanwhile. Failures are logged.
void resume_abandoned(const std::shared_ptr<Host::Impl>& host, const state::RunRecord& run);

/// resume_abandoned() unless somebody is busy with that agent or name.
void try_resume_abandoned(const std::shared_ptr<Host::Impl>& host, const state::RunRecord& run);

/// The same for every machine that runs for an agent or a name.
void resume_all_abandoned(const std::shared_ptr<Host::Impl>& host);

}  // namespace fireclaw::core
