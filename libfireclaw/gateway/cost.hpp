#pragma once

#include <stop_token>

#include "fireclaw/gateway_counts.hpp"

namespace fireclaw::gateway {

/// Gateway::measure().
GatewayCost measure_cost(unsigned rounds, const std::stop_token& stop);

}  // namespace fireclaw::gateway
