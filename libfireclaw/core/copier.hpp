#pragma once

#include <memory>

#include "core/host_impl.hpp"
#include "state/runs.hpp"

namespace fireclaw::core {

/// Lets a machine go on that stands still because whoever was copying it was killed in the middle; nothing else is
/// touched. The caller holds the lock of the machine's agent, so that nobody begins to copy it meanwhile. What goes
/// wrong is logged.
void let_go_on(const std::shared_ptr<Host::Impl>& host, const state::RunRecord& run);

/// let_go_on() for every agent's machine that nobody is busy with.
void let_all_go_on(const std::shared_ptr<Host::Impl>& host);

}  // namespace fireclaw::core
