#pragma once

#include <CLI/CLI.hpp>

#include "fireclaw/fireclaw.hpp"

namespace fireclaw::cli {

/// --image, --cpus, --memory: what machine it is.
void add_machine_options(CLI::App& command, VMConfig& config);

/// --workspace, --scratch, --disk-rate: the disks that it has.
void add_disk_options(CLI::App& command, VMConfig& config);

}  // namespace fireclaw::cli
