#pragma once

#include "net/policy.hpp"
#include "state/records/runs.hpp"

namespace fireclaw::state {

/// The firewall's view of a machine, out of its record and back. The names that it may reach are in the record alone.
net::VmPolicy to_policy(const RunNetwork& record);
RunNetwork to_record(const net::VmPolicy& policy);

}  // namespace fireclaw::state
