#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/deadline.hpp"
#include "core/machines/impl.hpp"

namespace fireclaw::core {

// Configures the agent's machine and the bot in it, and reads the bot's status.

/// Part of the snapshot's key. Change it whenever prepare_agent() changes.
inline constexpr std::string_view agent_preparation = "agent-1";
inline constexpr std::string_view agent_user = "agent";
inline constexpr std::string_view agent_home = "/home/agent";
inline constexpr std::uint32_t agent_uid = 1000;
inline constexpr std::string_view agent_workspace = "/workspace";
/// A program of the image: takes the keys that may log in, starts the server, and prints its host key; with --forget
/// it ends the server and removes that key.
inline constexpr std::string_view ssh_server_program = "/usr/lib/fireclaw/agent/ssh-server";
/// The bot's log, in the workspace, so that it outlives the machine.
inline constexpr std::string_view agent_log = ".fireclaw/agent.log";

/// Brings a freshly booted guest to the point where the bot has loaded everything and waits for its configuration.
void prepare_agent(guest::Session& session, Deadline deadline, const std::stop_token& stop);
/// Gives the bot its configuration, or another one.
void configure_agent(VM::Impl& machine, std::string_view bot_json, Deadline deadline);
/// In a machine that continues from another agent's: gives the bot a configuration with another name. Returns once the
/// bot uses it; a bot that does not in time is started again. The machine's SSH key is removed, too.
void rename_agent(VM::Impl& machine, std::string_view bot_json, Deadline deadline, const std::stop_token& stop);

struct BotStatus {
  /// The agent that it is.
  std::string name;
  /// Its nick on IRC now: its own may be taken.
  std::string nick;
  bool online = false;
  std::vector<std::string> channels;
  std::string last_error;
  std::uint64_t llm_errors = 0;
};
/// What the guest wrote is judged, not trusted: what is not understood is as good as nothing said.
BotStatus parse_status(const std::string& text);
/// The bot's status now. A bot that has not reported yet, or not as this agent, is not online.
BotStatus bot_status(VM::Impl& machine, Deadline deadline);
/// The same once it is online and in a channel, or at the deadline.
BotStatus await_online(VM::Impl& machine, Deadline deadline, const std::stop_token& stop);

}  // namespace fireclaw::core
