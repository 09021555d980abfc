#pragma once

#include "crew/agents.hpp"
#include "fireclaw/host.hpp"

namespace fireclaw::overseer {

/// The library's agents.
std::unique_ptr<Agents> library_agents(const Host& host);

}  // namespace fireclaw::overseer
