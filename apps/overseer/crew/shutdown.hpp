#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include "crew/agents.hpp"

namespace fireclaw::overseer {

/// The agents and machines that were ended in order when the system stopped.
struct ShutdownReport {
  /// Agents and machines with names, as "agent ada", "machine dev".
  std::vector<std::string> ended;
  /// Those that could not be, with why, one line each.
  std::vector<std::string> failed;
};

/// Ends all agents that live by themselves and all machines with names, side by side: the guests unmount their disks.
/// Before that, the names of running agents are written to `folder`, for take_interrupted(). After `limit` no other one
/// is begun.
ShutdownReport shut_down(Agents& agents, const std::filesystem::path& folder, std::chrono::milliseconds limit);

/// Returns the agents that the last shut_down() ended, once. The caller starts those of them again that are stopped.
std::vector<std::string> take_interrupted(const std::filesystem::path& folder);

}  // namespace fireclaw::overseer
