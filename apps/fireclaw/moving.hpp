#pragma once

#include "command.hpp"

namespace fireclaw::cli {

/// agent export and import.
void add_agent_moves(CLI::App& group, Context& context, Action& action);
/// snapshot export and import.
void add_snapshot_moves(CLI::App& group, Context& context, Action& action);
/// backup and restore.
void add_backup(CLI::App& app, Context& context, Action& action);

}  // namespace fireclaw::cli
