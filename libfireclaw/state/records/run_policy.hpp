#pragma once

#include "net/policy.hpp"
#include "state/records/runs.hpp"

namespace fireclaw::state {

/// Converts between a machine's record and the firewall's view of it. Only the record has the names that it may reach.
net::VmPolicy to_policy(const RunNetwork& record);
RunNetwork to_record(const net::VmPolicy& policy);

}  // namespace fireclaw::state
