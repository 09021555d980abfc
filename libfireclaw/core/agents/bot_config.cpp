#include "core/agents/bot_config.hpp"

#include <array>
#include <map>

#include <fmt/format.h>

#include "fireclaw/error.hpp"
#include "state/settings/bot_fields.hpp"

namespace fireclaw::core {
namespace {

constexpr std::string_view gateway_name = "gateway";

using Members = std::map<std::string, json::Value, std::less<>>;

Members members_of(const std::optional<json::Value>& value) {
  Members members;
  if (value) {
    for (const auto& [name, member] : value->as_object()) {
      if (!member.is_null()) members.insert_or_assign(name, member);
    }
  }
  return members;
}

/// `upper`'s members above `lower`'s; what is an object within them is replaced whole.
Members merge(Members lower, const Members& upper) {
  for (const auto& [name, member] : upper) lower.insert_or_assign(name, member);
  return lower;
}

std::string at_gateway(std::string_view host, const std::string& gateway) {
  return host == gateway_name ? gateway : std::string{host};
}

/// The URL with its host "gateway" replaced.
std::string url_at_gateway(const std::string& url, const std::string& gateway) {
  const auto begin = url.find("://") + 3;
  const auto end = url.find_first_of(":/", begin);
  const auto host = std::string_view{url}.substr(begin, end == std::string::npos ? end : end - begin);
  if (host != gateway_name) return url;
  return url.substr(0, begin) + gateway + (end == std::string::npos ? std::string{} : url.substr(end));
}

void write_server(json::Writer& out, const BotConfig& config) {
  auto members = merge(members_of(config.irc), members_of(config.from.value.find("irc")));
  if (config.served.irc && !members.contains("host") && !members.contains("port")) {
    // The gateway has the server's address, speaks TLS with it and logs in.
    out.key("server").begin_object();
    out.field("host", config.gateway);
    out.field("port", config.served.irc->port);
    out.end_object();
    return;
  }
  const auto host = members.find("host");
  const auto name = host == members.end() ? std::string{gateway_name} : host->second.as_string();
  members.erase("host");
  out.key("server").begin_object();
  out.field("host", at_gateway(name, config.gateway));
  for (const auto& [field, member] : members) out.key(field).value(member);
  out.end_object();
}

void write_llm(json::Writer& out, const BotConfig& config) {
  auto members = merge(members_of(config.llm), members_of(config.from.value.find("llm")));
  members.erase(std::string{state::llm_url_by});
  const auto model = config.model.value_or(config.from.text("model"));
  std::string url{default_llm_url};
  std::optional<std::string_view> api;
  if (const auto given = members.find("url"); given != members.end()) {
    url = given->second.as_string();
    members.erase(given);
  } else if (config.served.llm) {
    url = fmt::format("http://gateway:{}", config.served.llm->port);
    // The gateway has the keys.
    members.erase("api_key");
    const auto* upstream = state::find_upstream(*config.served.llm, config.name, model);
    if (upstream != nullptr && !members.contains("api")) api = state::to_string(upstream->api);
  }
  out.key("llm").begin_object();
  out.field("url", url_at_gateway(url, config.gateway));
  if (api) out.field("api", *api);
  out.field("model", model);
  for (const auto& [field, member] : members) out.key(field).value(member);
  out.end_object();
}

/// The template's tools, switched on or off if that was asked for.
void write_tools(json::Writer& out, const BotConfig& config) {
  const auto from = config.from.value.find("tools");
  const bool enabled = config.tools.value_or(config.from.tools());
  out.key("tools").begin_object();
  out.field("enabled", enabled);
  if (from && from->is_object()) {
    for (const auto& [field, member] : from->as_object()) {
      if (field != "enabled") out.key(field).value(member);
    }
  }
  out.end_object();
}

/// Checks a setting as a template's field would be.
void check_setting(std::string_view name, const std::optional<std::string>& text, void (*check)(const json::Value&)) {
  if (!text) return;
  try {
    check(json::Value::parse(json::Writer{}.value(*text).take(), name));
  } catch (const Error& problem) {
    throw Error{ErrorCode::InvalidArgument, problem.what()};
  }
}

}  // namespace

std::string to_bot_json(const BotConfig& config) {
  check_setting("model", config.model, state::check_model);
  check_setting("persona", config.persona, state::check_persona);
  check_setting("trigger", config.trigger, state::check_trigger);

  json::Writer out{json::Writer::Style::Pretty};
  out.begin_object();
  out.field("schema", 1);
  out.field("name", config.name);
  out.field("nick", config.name);
  out.field("persona", config.persona.value_or(config.from.text("persona")));
  out.field("trigger", config.trigger.value_or(config.from.text("trigger", "mention")));
  out.field("status_file", bot_status_file);
  for (const std::string_view field : {"channels", "operators", "invite_policy", "log_level", "peers", "limits"}) {
    if (const auto member = config.from.value.find(field)) out.key(field).value(*member);
  }
  if (!config.http_proxy.empty()) out.field("http_proxy", config.http_proxy);
  write_server(out, config);
  write_llm(out, config);
  write_tools(out, config);
  out.end_object();
  return out.take();
}

}  // namespace fireclaw::core
