#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/deadline.hpp"
#include "core/machines/impl.hpp"

namespace fireclaw::core {

// What the agent's machine is told, and what the bot in it says of itself.

/// What must be changed whenever prepare_agent() does something else: part of the snapshot's key.
inline constexpr std::string_view agent_preparation = "agent-1";
inline constexpr std::string_view agent_user = "agent";
inline constexpr std::string_view agent_home = "/home/agent";
inline constexpr std::uint32_t agent_uid = 1000;
inline constexpr std::string_view agent_workspace = "/workspace";
/// Comes with the image: takes the keys that may log in, has the server listen, and prints its host key; with --forget
/// it ends the server and removes that key.
inline constexpr std::string_view ssh_server_program = "/usr/lib/fireclaw/agent/ssh-server";
/// In the workspace: what the bot wrote, so that it is there when the machine is not.
inline constexpr std::string_view agent_log = ".fireclaw/agent.log";

/// Brings a freshly booted guest to the point where the bot has loaded everything and waits for its configuration.
void prepare_agent(guest::Session& session, Deadline deadline, const std::stop_token& stop);
/// Gives the bot its configuration, or another one.
void configure_agent(VM::Impl& machine, std::string_view bot_json, Deadline deadline);
/// In a machine that continues from where another agent's was: gives the bot a configuration with another name. Returns
/// once it goes by that; one that does not take it in time is started again. The machine's SSH key is forgotten, too.
void rename_agent(VM::Impl& machine, std::string_view bot_json, Deadline deadline, const std::stop_token& stop);

struct BotStatus {
  /// The agent that it is.
  std::string name;
  /// What it goes by on IRC: its own nick may be taken.
  std::string nick;
  bool online = false;
  std::vector<std::string> channels;
  std::string last_error;
  std::uint64_t llm_errors = 0;
};
/// What the bot says now. A bot that has not said anything yet, or not as this agent, is not online.
BotStatus bot_status(VM::Impl& machine, Deadline deadline);
/// The same once it is online and in a channel, or at the deadline.
BotStatus await_online(VM::Impl& machine, Deadline deadline, const std::stop_token& stop);

}  // namespace fireclaw::core
