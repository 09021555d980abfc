#pragma once

#include <memory>

#include "core/host_impl.hpp"
#include "state/runs.hpp"

namespace fireclaw::core {

/// Whether a machine may stand still because whoever was copying it was killed in the middle.
bool is_left_standing(const state::RunRecord& run);

/// Lets it go on if so; nothing else is touched. The caller holds the lock of the machine's agent, so that nobody
/// begins to copy it meanwhile. What goes wrong is logged.
void let_go_on(const std::shared_ptr<Host::Impl>& host, const state::RunRecord& run);

/// let_go_on() unless somebody is busy with its agent.
void try_let_go_on(const std::shared_ptr<Host::Impl>& host, const state::RunRecord& run);

/// The same for every agent's machine.
void let_all_go_on(const std::shared_ptr<Host::Impl>& host);

}  // namespace fireclaw::core
