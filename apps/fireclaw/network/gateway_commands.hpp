#pragma once

#include "command.hpp"

namespace fireclaw::cli {

/// Commands for the gateway between agents and LLM servers.
void add_gateway(CLI::App& app, Context& context, Action& action);
void add_secret(CLI::App& app, Context& context, Action& action);

}  // namespace fireclaw::cli
