#include "state/settings/gateway.hpp"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "base/text.hpp"
#include "state/settings/bot_fields.hpp"
#include "state/settings/secrets.hpp"

namespace fireclaw::state {
namespace {

/// Beyond this a limit is none.
constexpr std::uint64_t most = 1'000'000'000'000;
constexpr std::uint16_t irc_tls_port = 6697;
constexpr std::uint16_t dns_port = 53;

std::uint64_t read_number(const json::Value& value, std::uint64_t low, std::uint64_t high) {
  const auto number = value.as_uint();
  if (number < low || number > high) value.fail(fmt::format("must be {} to {}", low, high));
  return number;
}

LlmLimits read_limits(const json::Value& value) {
  value.only({"requests_per_minute", "requests_per_day", "tokens_per_minute", "tokens_per_day"});
  const auto read = [&](std::string_view name) -> std::optional<std::uint64_t> {
    const auto found = value.find(name);
    if (!found) return std::nullopt;
    return read_number(*found, 1, most);
  };
  return {read("requests_per_minute"), read("requests_per_day"), read("tokens_per_minute"), read("tokens_per_day")};
}

std::vector<std::string> read_patterns(const json::Value& value) {
  std::vector<std::string> patterns;
  for (const auto& entry : value.as_array()) {
    const auto& text = entry.as_string();
    const auto star = text.find('*');
    const bool printable = std::ranges::all_of(text, [](char c) { return c > ' ' && c < '\x7f'; });
    if (text.empty() || !printable || (star != std::string::npos && star + 1 != text.size())) {
      entry.fail("must be a name, or the beginning of names with a * at the end");
    }
    patterns.push_back(text);
  }
  return patterns;
}

std::string read_url(const json::Value& value) {
  auto url = value.as_string();
  const auto scheme = url.starts_with("https://") ? 8u : url.starts_with("http://") ? 7u : 0u;
  const bool printable = std::ranges::all_of(url, [](char c) { return c > ' ' && c < '\x7f'; });
  while (url.ends_with('/')) url.pop_back();
  if (scheme == 0 || url.size() <= scheme || !printable || url.find_first_of("?#@\\", scheme) != std::string::npos) {
    value.fail("must be an http:// or https:// URL without user, query and fragment; a key is named by \"key\"");
  }
  return url;
}

std::string read_name(const json::Value& value) {
  const auto name = value.at("name");
  if (!is_secret_name(name.as_string())) name.fail("must be 1 to 64 letters, digits, . _ -");
  return name.as_string();
}

std::string read_secret_name(const json::Value& value) {
  if (!is_secret_name(value.as_string())) value.fail("must be the name of a secret; see: fireclaw secret list");
  return value.as_string();
}

std::string read_ca_file(const json::Value& value) {
  if (!value.as_string().starts_with('/')) value.fail("must be an absolute path");
  return value.as_string();
}

std::uint16_t read_port(const json::Value& value) { return static_cast<std::uint16_t>(read_number(value, 1, 65'535)); }

/// Where machines reach a service at the gateway.
std::uint16_t read_own_port(const json::Value& value) {
  const auto port = read_port(value);
  if (port == dns_port || port == names_port)
    value.fail(fmt::format("{} is the port where it answers for names", port));
  if (port == http_port) value.fail(fmt::format("{} is the port of its HTTP proxy", port));
  return port;
}

/// What `read` makes of each entry, at least one, each with a name of its own.
template <class Upstream>
std::vector<Upstream> read_upstreams(const json::Value& value, const char* what, Upstream (*read)(const json::Value&)) {
  std::vector<Upstream> upstreams;
  std::set<std::string> names;
  for (const auto& entry : value.as_array()) {
    upstreams.push_back(read(entry));
    if (!names.insert(upstreams.back().name).second) entry.at("name").fail("is the name of another one too");
  }
  if (upstreams.empty()) value.fail(fmt::format("must name at least one {} server", what));
  return upstreams;
}

LlmUpstream read_llm_upstream(const json::Value& value) {
  value.only({"name", "url", "api", "key", "ca_file", "models", "agents", "concurrent", "idle_s"});
  LlmUpstream upstream;
  upstream.name = read_name(value);
  upstream.url = read_url(value.at("url"));
  if (const auto api = value.find("api")) {
    if (api->as_string() == to_string(LlmApi::OpenAi)) {
      upstream.api = LlmApi::OpenAi;
    } else if (api->as_string() != to_string(LlmApi::Ollama)) {
      api->fail("must be \"ollama\" or \"openai\"");
    }
  }
  if (const auto key = value.find("key")) upstream.key = read_secret_name(*key);
  if (const auto file = value.find("ca_file")) upstream.ca_file = read_ca_file(*file);
  if (const auto models = value.find("models")) upstream.models = read_patterns(*models);
  if (const auto agents = value.find("agents")) upstream.agents = read_patterns(*agents);
  if (const auto number = value.find("concurrent")) {
    upstream.concurrent = static_cast<unsigned>(read_number(*number, 1, 10'000));
  }
  if (const auto seconds = value.find("idle_s")) {
    upstream.idle_s = static_cast<unsigned>(read_number(*seconds, 1, 86'400));
  }
  return upstream;
}

LlmSettings read_llm(const json::Value& value) {
  value.only({"port", "upstreams", "limits", "agents"});
  LlmSettings settings;
  if (const auto port = value.find("port")) settings.port = read_own_port(*port);
  settings.upstreams = read_upstreams(value.at("upstreams"), "LLM", &read_llm_upstream);
  if (const auto limits = value.find("limits")) settings.limits = read_limits(*limits);
  if (const auto agents = value.find("agents")) {
    for (const auto& [name, limits] : agents->as_object()) {
      if (!is_agent_name(name)) limits.fail("cannot be an agent's name");
      settings.agents.emplace(name, read_limits(limits));
    }
  }
  return settings;
}

IrcAccount read_account(const json::Value& value) {
  value.only({"user", "password_secret"});
  const auto user = value.at("user");
  const auto& text = user.as_string();
  const bool printable = std::ranges::all_of(text, [](char c) { return c > ' ' && c < '\x7f'; });
  if (text.empty() || text.size() > 128 || !printable) user.fail("must be the name of an account");
  return {text, read_secret_name(value.at("password_secret"))};
}

IrcUpstream read_irc_upstream(const json::Value& value) {
  value.only({"name", "host", "port", "tls", "tls_verify", "ca_file", "password_secret", "sasl", "agents"});
  IrcUpstream upstream;
  upstream.name = read_name(value);
  const auto host = value.at("host");
  check_host(host);
  upstream.host = host.as_string();
  if (const auto tls = value.find("tls")) upstream.tls = tls->as_bool();
  upstream.port = upstream.tls ? irc_tls_port : IrcUpstream{}.port;
  if (const auto port = value.find("port")) upstream.port = read_port(*port);
  if (const auto verify = value.find("tls_verify")) upstream.tls_verify = verify->as_bool();
  if (const auto file = value.find("ca_file")) upstream.ca_file = read_ca_file(*file);
  if (const auto secret = value.find("password_secret")) upstream.password_secret = read_secret_name(*secret);
  if (const auto account = value.find("sasl")) upstream.sasl = read_account(*account);
  if (const auto agents = value.find("agents")) upstream.agents = read_patterns(*agents);
  return upstream;
}

IrcSettings read_irc(const json::Value& value) {
  value.only({"port", "upstreams"});
  IrcSettings settings;
  if (const auto port = value.find("port")) settings.port = read_own_port(*port);
  settings.upstreams = read_upstreams(value.at("upstreams"), "IRC", &read_irc_upstream);
  return settings;
}

}  // namespace

std::string_view to_string(LlmApi api) noexcept {
  switch (api) {
    case LlmApi::Ollama: return "ollama";
    case LlmApi::OpenAi: return "openai";
  }
  return "";
}

const LlmLimits& LlmSettings::limits_of(std::string_view agent) const {
  const auto found = agents.find(agent);
  return found == agents.end() ? limits : found->second;
}

GatewaySettings read_gateway_settings(const json::Value& section) {
  section.only({"llm", "irc"});
  GatewaySettings settings;
  if (const auto llm = section.find("llm")) settings.llm = read_llm(*llm);
  if (const auto irc = section.find("irc")) settings.irc = read_irc(*irc);
  if (!settings.llm && !settings.irc) section.fail("must have llm, irc or both");
  if (settings.llm && settings.irc && settings.llm->port == settings.irc->port) {
    section.fail(fmt::format("llm and irc have the same port, {}", settings.llm->port));
  }
  return settings;
}

bool matches_any(const std::vector<std::string>& patterns, std::string_view name) {
  return std::ranges::any_of(patterns, [&](std::string_view pattern) {
    if (!pattern.ends_with('*')) return pattern == name;
    pattern.remove_suffix(1);
    return name.starts_with(pattern);
  });
}

const LlmUpstream* find_upstream(const LlmSettings& settings, std::string_view agent, std::string_view model,
                                 std::optional<LlmApi> api) {
  for (const auto& upstream : settings.upstreams) {
    // Ollama speaks OpenAI's protocol beside its own.
    if (api == LlmApi::Ollama && upstream.api != LlmApi::Ollama) continue;
    if (!upstream.agents.empty() && !matches_any(upstream.agents, agent)) continue;
    if (!model.empty() && !upstream.models.empty() && !matches_any(upstream.models, model)) continue;
    return &upstream;
  }
  return nullptr;
}

const IrcUpstream* find_upstream(const IrcSettings& settings, std::string_view agent) {
  const auto found = std::ranges::find_if(settings.upstreams, [&](const IrcUpstream& upstream) {
    return upstream.agents.empty() || matches_any(upstream.agents, agent);
  });
  return found == settings.upstreams.end() ? nullptr : &*found;
}

}  // namespace fireclaw::state
