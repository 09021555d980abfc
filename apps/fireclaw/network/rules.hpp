#pragma once

#include "command.hpp"

namespace fireclaw::cli {

/// network log, allow and deny.
void add_network_rules(CLI::App& group, Context& context, Action& action);

}  // namespace fireclaw::cli
