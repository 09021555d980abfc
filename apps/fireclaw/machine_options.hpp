#pragma once

#include <CLI/CLI.hpp>

#include "fireclaw/fireclaw.hpp"

namespace fireclaw::cli {

/// --image, --cpus, --memory.
void add_machine_options(CLI::App& command, VMConfig& config);

/// --workspace, --scratch, --disk-rate.
void add_disk_options(CLI::App& command, VMConfig& config);

}  // namespace fireclaw::cli
