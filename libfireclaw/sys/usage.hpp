#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

#include "sys/process.hpp"

namespace fireclaw::sys {

/// What a process has and had of the machine.
struct Usage {
  /// Memory that is in RAM now, shared pages among it.
  std::uint64_t resident_bytes = 0;
  /// On all CPUs together, since it started; in steps of a clock tick (10 ms).
  std::chrono::nanoseconds cpu_time{0};
};

/// nullopt if that very process is gone.
std::optional<Usage> usage_of(const ProcessId& id);

/// The processes whose working directory is `folder` or in it, as far as this user may see them (/proc/<pid>/cwd).
std::vector<ProcessId> processes_in(const std::filesystem::path& folder);

}  // namespace fireclaw::sys
