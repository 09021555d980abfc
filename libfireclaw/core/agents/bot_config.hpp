#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "json/json.hpp"
#include "state/settings/gateway.hpp"
#include "state/settings/templates.hpp"

namespace fireclaw::core {

/// The files in the guest with the bot's configuration, and with its status.
inline constexpr std::string_view bot_config_file = "/run/fireclaw/agent.json";
inline constexpr std::string_view bot_status_file = "/run/fireclaw/agent-status.json";

/// Where agents look for their LLM by default.
inline constexpr std::string_view default_llm_url = "http://gateway:11434";

/// The sources of a bot's configuration.
struct BotConfig {
  std::string name;
  state::Template from;
  /// config.json's "irc" and "llm"; the template overrides them.
  std::optional<json::Value> irc;
  std::optional<json::Value> llm;
  /// The services of the machine's gateway; none if the machine does not reach it.
  state::GatewaySettings served;
  /// Overrides the template's.
  std::optional<std::string> model;
  std::optional<std::string> persona;
  std::optional<std::string> trigger;
  std::optional<bool> tools;
  /// The meaning of "gateway": the host's address as the guest sees it.
  std::string gateway;
  /// The gateway's HTTP proxy, as a URL; empty: none.
  std::string http_proxy = {};
};

/// The JSON text for agent/bot. Error(InvalidArgument) naming an impossible setting.
std::string to_bot_json(const BotConfig& config);

}  // namespace fireclaw::core
