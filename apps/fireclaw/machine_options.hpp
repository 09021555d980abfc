#pragma once

#include <CLI/CLI.hpp>

#include "fireclaw/fireclaw.hpp"

namespace fireclaw::cli {

/// --image, --cpus, --memory: what machine it is.
void add_machine_options(CLI::App& command, VMConfig& config);

/// "256", "256M", "2G" as MiB. Error(InvalidArgument) for anything else.
unsigned parse_memory_mib(const std::string& text);
/// The same for disks, with "1T" too.
std::uint64_t parse_size_mib(const std::string& text);
/// "90", "90s", "1500ms", "5m", "2h". Error(InvalidArgument) for anything else.
std::chrono::milliseconds parse_duration(const std::string& text);

}  // namespace fireclaw::cli
