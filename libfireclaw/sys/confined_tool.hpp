#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sys/process.hpp"

namespace fireclaw::sys {

/// Limits of a tool; 0: no limit of ours.
struct ToolLimits {
  /// Limit of address space.
  std::uint64_t memory_bytes = 0;
  /// Limit of processor time.
  std::uint64_t cpu_seconds = 0;
};

/// run_tool() with a tool that is confined as `plan` says. If that is impossible the tool is not run: throws as
/// Child::spawn().
ToolResult run_confined_tool(std::vector<std::string> argv, const ToolOptions& options, const Sandbox& plan,
                             const ToolLimits& limits = {});

}  // namespace fireclaw::sys
