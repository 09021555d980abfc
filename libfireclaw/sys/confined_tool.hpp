#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sys/process.hpp"

namespace fireclaw::sys {

/// What a tool may use; 0: no limit of ours.
struct ToolLimits {
  /// Of address space.
  std::uint64_t memory_bytes = 0;
  /// Of processor time.
  std::uint64_t cpu_seconds = 0;
};

/// run_tool() with a tool that is confined as `plan` says. What cannot be confined so is not run: the error is that of
/// Child::spawn().
ToolResult run_confined_tool(std::vector<std::string> argv, const ToolOptions& options, const Sandbox& plan,
                             const ToolLimits& limits = {});

}  // namespace fireclaw::sys
