#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "json/json.hpp"
#include "state/settings/gateway.hpp"
#include "state/settings/templates.hpp"

namespace fireclaw::core {

/// Where in the guest the bot finds its configuration, and where it says how it is.
inline constexpr std::string_view bot_config_file = "/run/fireclaw/agent.json";
inline constexpr std::string_view bot_status_file = "/run/fireclaw/agent-status.json";

/// Where agents look for their LLM unless something else is said.
inline constexpr std::string_view default_llm_url = "http://gateway:11434";

/// Everything that a bot's configuration is made from.
struct BotConfig {
  std::string name;
  state::Template from;
  /// config.json's "irc" and "llm"; the template's own come above them.
  std::optional<json::Value> irc;
  std::optional<json::Value> llm;
  /// What the machine's gateway passes on: nothing, if the machine does not reach it.
  state::GatewaySettings served;
  /// Beyond the template.
  std::optional<std::string> model;
  std::optional<std::string> persona;
  std::optional<std::string> trigger;
  std::optional<bool> tools;
  /// What "gateway" means: the host's address as the guest sees it.
  std::string gateway;
  /// The way to web servers by name; empty: there is none.
  std::string http_proxy = {};
};

/// The JSON text for agent/bot. Error(InvalidArgument) for a setting that is not possible, naming it.
std::string to_bot_json(const BotConfig& config);

}  // namespace fireclaw::core
