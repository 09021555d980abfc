#pragma once

#include <exception>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "crew/agents.hpp"
#include "crew/commands.hpp"

namespace fireclaw::overseer {

/// A command's outcome.
struct Outcome {
  bool done = false;
  /// The answer.
  std::vector<std::string> lines;
  /// The agent as it is now, if the command was about one that is still there.
  std::optional<AgentInfo> agent;
};

/// Carries a command out on the agents. Blocks; does not throw. For commands whose row has an action.
Outcome carry_out(Agents& agents, const Command& command, const std::stop_token& stop);

/// The outcome of a command that threw. Call it in a catch clause.
Outcome failed(Agents& agents, const Command& command, const std::exception& problem);
/// Whether there is no such agent (any more).
bool is_gone(Agents& agents, const std::string& name);

/// "worker [qwen2.5:7b] (172.16.0.2)"
std::string in_brief(const AgentInfo& info);
/// 'Agent "worker" started: worker [qwen2.5:7b] (172.16.0.2)'
std::string started_line(const AgentInfo& info);
/// In one line, for people in a channel.
std::string to_line(const std::exception& problem);

}  // namespace fireclaw::overseer
