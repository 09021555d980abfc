#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "json/json.hpp"

namespace fireclaw::state {

/// The protocol of an LLM server.
enum class LlmApi {
  Ollama,  ///< /api/chat and /api/tags, and OpenAI's paths as well
  OpenAi,  ///< /v1/chat/completions and /v1/models
};
std::string_view to_string(LlmApi api) noexcept;

/// An LLM server that the gateway passes requests on to.
struct LlmUpstream {
  /// What logs, metrics and errors call it.
  std::string name;
  /// "http://" or "https://", without a slash at its end. May end with "/v1".
  std::string url;
  LlmApi api = LlmApi::Ollama;
  /// The name of the secret that is sent as its key; empty: none.
  std::string key;
  /// A file of certificates to trust instead of the system's; empty: none.
  std::string ca_file;
  /// The models that it serves, and the agents that may ask it: names, or beginnings of names with a "*" at the end.
  /// Empty: all.
  std::vector<std::string> models;
  std::vector<std::string> agents;
  /// The most requests to send to it at once; others wait.
  unsigned concurrent = 8;
  /// How long it may send nothing.
  unsigned idle_s = 600;

  bool operator==(const LlmUpstream&) const = default;
};

/// Limits of one agent; nullopt: none.
struct LlmLimits {
  std::optional<std::uint64_t> requests_per_minute;
  std::optional<std::uint64_t> requests_per_day;
  std::optional<std::uint64_t> tokens_per_minute;
  std::optional<std::uint64_t> tokens_per_day;

  bool operator==(const LlmLimits&) const = default;
};

/// "gateway.llm" of config.json.
struct LlmSettings {
  /// Where agents reach it, at the gateway's address.
  std::uint16_t port = 11434;
  /// The first that fits is asked. Never empty.
  std::vector<LlmUpstream> upstreams;
  /// The limits of each agent.
  LlmLimits limits;
  /// Limits of agents by name, instead of those.
  std::map<std::string, LlmLimits, std::less<>> agents;

  bool operator==(const LlmSettings&) const = default;
  [[nodiscard]] const LlmLimits& limits_of(std::string_view agent) const;
};

/// An account of an IRC network's services.
struct IrcAccount {
  std::string user;
  /// The name of the secret that is its password.
  std::string password_secret;

  bool operator==(const IrcAccount&) const = default;
};

/// An IRC server that the gateway passes connections on to.
struct IrcUpstream {
  /// What logs, metrics and errors call it.
  std::string name;
  /// A name, or an address; of IPv6 without brackets.
  std::string host;
  std::uint16_t port = 6667;
  bool tls = false;
  /// Whether its certificate must be right.
  bool tls_verify = true;
  /// A file of certificates to trust instead of the system's; empty: none.
  std::string ca_file;
  /// The name of the secret that is the server's password; empty: it has none.
  std::string password_secret;
  /// The account that agents are logged in to, by SASL; unset: none.
  std::optional<IrcAccount> sasl;
  /// The agents that it is for, as for an LLM server.
  std::vector<std::string> agents;

  bool operator==(const IrcUpstream&) const = default;
};

/// "gateway.irc" of config.json.
struct IrcSettings {
  /// Where agents reach it, at the gateway's address.
  std::uint16_t port = 6667;
  /// The first that fits is connected to. Never empty.
  std::vector<IrcUpstream> upstreams;

  bool operator==(const IrcSettings&) const = default;
};

/// Where the gateway's program answers for names, at the gateway's address; machines ask at port 53.
inline constexpr std::uint16_t names_port = 10053;
/// The port of its HTTP proxy there.
inline constexpr std::uint16_t http_port = 10080;

/// The section "gateway" of config.json. Missing parts are not served.
struct GatewaySettings {
  std::optional<LlmSettings> llm;
  std::optional<IrcSettings> irc;

  bool operator==(const GatewaySettings&) const = default;
};

/// Error(Corrupt) naming the field.
GatewaySettings read_gateway_settings(const json::Value& section);

/// Whether `name` is one of `patterns`: names, or beginnings of names with a "*" at the end.
bool matches_any(const std::vector<std::string>& patterns, std::string_view name);

/// The first upstream that serves `model` to `agent` by a protocol; nullptr if none does.
const LlmUpstream* find_upstream(const LlmSettings& settings, std::string_view agent, std::string_view model,
                                 std::optional<LlmApi> api = std::nullopt);
/// The first IRC server that is for `agent`; nullptr if none is.
const IrcUpstream* find_upstream(const IrcSettings& settings, std::string_view agent);

}  // namespace fireclaw::state
