#pragma once

#include <string>
#include <vector>

#include "fireclaw/gateway_counts.hpp"

namespace fireclaw::cli {

/// What was measured, in rows of a table: what, directly, through the gateway.
inline const std::vector<std::string> gateway_headings = {"what", "directly", "through the gateway"};
std::vector<std::vector<std::string>> gateway_rows(const GatewayCost& cost);

}  // namespace fireclaw::cli
