#include "core/agents/llm_servers.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <initializer_list>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "core/agents/bot_config.hpp"
#include "core/agents/outside.hpp"
#include "core/host/impl.hpp"
#include "fireclaw/error.hpp"
#include "state/settings/bot_fields.hpp"
#include "state/settings/config.hpp"
#include "state/settings/gateway.hpp"
#include "sys/file.hpp"

namespace fireclaw {
namespace core {
namespace {

/// The name of the server that is put into section "gateway", and the mark of a URL that is put into "llm".
constexpr std::string_view own_name = "up";
constexpr std::string_view ollama_name = "Ollama";
constexpr std::string_view any_name = "LLM server";

bool is_own(const json::Value& entry, std::string_view field = "name") {
  const auto name = entry.find(field);
  return name && name->is_string() && name->as_string() == own_name;
}

void write_members(json::Writer& out, const std::optional<json::Value>& object,
                   std::initializer_list<std::string_view> but) {
  if (!object) return;
  for (const auto& [name, member] : object->as_object()) {
    if (std::ranges::find(but, std::string_view{name}) == but.end()) out.key(name).value(member);
  }
}

}  // namespace

std::optional<std::string> named_llm_server(const std::optional<json::Value>& llm,
                                            const std::optional<json::Value>& gateway) {
  if (auto url = persons_llm_url(llm)) return url;
  const auto served = gateway ? gateway->find("llm") : std::nullopt;
  if (!served) return std::nullopt;
  for (const auto& upstream : served->at("upstreams").as_array()) {
    if (!is_own(upstream)) return upstream.at("url").as_string();
  }
  return std::nullopt;
}

json::Value with_llm_server(const std::optional<json::Value>& gateway, const LlmServer& server, std::uint16_t port) {
  const auto served = gateway ? gateway->find("llm") : std::nullopt;
  json::Writer out;
  out.begin_object();
  write_members(out, gateway, {"llm"});
  out.key("llm").begin_object();
  write_members(out, served, {"upstreams"});
  if (port != state::LlmSettings{}.port && !(served && served->find("port"))) {
    out.field("port", static_cast<unsigned>(port));
  }
  out.key("upstreams").begin_array();
  out.begin_object().field("name", own_name).field("url", server.url).field("api", server.api).end_object();
  if (served) {
    for (const auto& upstream : served->at("upstreams").as_array()) {
      if (!is_own(upstream)) out.value(upstream);
    }
  }
  out.end_array().end_object().end_object();
  return json::Value::parse(out.take(), "gateway");
}

std::optional<std::string> persons_llm_url(const std::optional<json::Value>& llm) {
  if (!llm || is_own(*llm, state::llm_url_by)) return std::nullopt;
  const auto url = llm->find("url");
  return url ? std::optional{url->as_string()} : std::nullopt;
}

json::Value pointed_at(const std::optional<json::Value>& llm, const LlmServer& server) {
  auto url = server.url;
  for (const std::string_view host : {"://127.0.0.1", "://localhost"}) {
    const auto at = url.find(host);
    const auto end = at == std::string::npos ? at : at + host.size();
    if (end != std::string::npos && (end == url.size() || url[end] == ':' || url[end] == '/')) {
      url.replace(at, host.size(), "://gateway");
    }
  }
  json::Writer out;
  out.begin_object();
  const auto before = llm ? llm->find("url") : std::nullopt;
  if (url == (before ? std::string_view{before->as_string()} : default_llm_url)) {
    write_members(out, llm, {"url", "api", state::llm_url_by});
  } else {
    // They were meant for another server.
    write_members(out, llm, {"url", "api", state::llm_url_by, "api_key", "ca_file"});
  }
  out.field("url", url).field("api", server.api).field(state::llm_url_by, own_name).end_object();
  return json::Value::parse(out.take(), "llm");
}

std::optional<json::Value> without_pointer(const std::optional<json::Value>& llm) {
  if (!llm || !is_own(*llm, state::llm_url_by)) return llm;
  json::Writer out;
  out.begin_object();
  write_members(out, llm, {"url", "api", state::llm_url_by});
  out.end_object();
  return json::Value::parse(out.take(), "llm");
}

}  // namespace core

namespace {

constexpr std::chrono::seconds lock_limit{10};
constexpr unsigned most_ports = 10;

struct Usual {
  std::string_view name;
  std::uint16_t port;
};

constexpr Usual usual_servers[] = {{"Ollama", 11434}, {"llama.cpp", 8080}, {"LM Studio", 1234}};

/// The texts of `field` in a list of objects.
std::vector<std::string> names_of(const json::Value& list, std::string_view field) {
  std::vector<std::string> names;
  for (const auto& entry : list.as_array()) names.push_back(entry.at(field).as_string());
  return names;
}

std::optional<json::Value> answer_of(const Host::Impl& host, const std::string& url, std::string_view member) {
  try {
    return core::ask_llm_server(url).at(member);
  } catch (const Error& problem) {
    host.logger.debug(fmt::format("{}: {}", url, problem.what()));
    return std::nullopt;
  }
}

/// A port that no server of this host has on all addresses, which would be in the gateway's way.
std::uint16_t port_for_gateway() {
  const auto first = state::LlmSettings{}.port;
  for (unsigned i = 0; i < most_ports; ++i) {
    const auto port = static_cast<std::uint16_t>(first + i);
    std::string ignored;
    if (!core::answers("127.0.0.2", port, ignored)) return port;
  }
  return first;
}

}  // namespace

std::vector<LlmServer> LlmServers::find() const {
  std::vector<LlmServer> found;
  for (const auto& [name, port] : usual_servers) {
    std::string ignored;
    if (!core::answers("127.0.0.1", port, ignored)) continue;
    try {
      found.push_back(ask(fmt::format("http://127.0.0.1:{}", port)));
    } catch (const Error& problem) {
      // Another program has that port.
      Access::impl(host_)->logger.debug(problem.what());
      continue;
    }
    if (found.back().name == core::any_name) found.back().name = name;
  }
  return found;
}

LlmServer LlmServers::ask(const std::string& url) const {
  const auto& impl = *Access::impl(host_);
  auto base = url;
  while (base.ends_with('/')) base.pop_back();
  if (!core::server_of(base)) {
    throw Error{ErrorCode::InvalidArgument,
                fmt::format("'{}' is not the URL of an LLM server; it looks like http://127.0.0.1:11434", url)};
  }
  const bool only_openai = base.ends_with("/v1");
  const auto root = only_openai ? base.substr(0, base.size() - 3) : base;
  // llama.cpp answers /api/tags as well, but not Ollama's chats.
  if (!only_openai && answer_of(impl, root + "/api/version", "version")) {
    if (const auto models = answer_of(impl, root + "/api/tags", "models")) {
      return {std::string{core::ollama_name}, base, "ollama", names_of(*models, "name")};
    }
  }
  if (const auto models = answer_of(impl, root + "/v1/models", "data")) {
    return {std::string{core::any_name}, base, "openai", names_of(*models, "id")};
  }
  throw Error{ErrorCode::NotFound, fmt::format("no LLM server answers at '{}'", url)};
}

std::optional<std::string> LlmServers::named() const {
  const auto config = state::read_config(Access::impl(host_)->layout.config());
  return core::named_llm_server(config.llm, config.gateway);
}

void LlmServers::use(const LlmServer& server, NetworkMode network) const {
  const auto& impl = *Access::impl(host_);
  const auto lock = impl.lock_config(lock_limit);
  auto config = state::read_config(impl.layout.config());
  const auto theirs = core::persons_llm_url(config.llm);
  auto pointed = core::pointed_at(config.llm, server);
  if (network != NetworkMode::Nat && theirs == pointed.at("url").as_string()) return;
  if (theirs) {
    throw Error{ErrorCode::InvalidState,
                fmt::format("llm.url in '{}' names the LLM server already: change or remove it there",
                            impl.layout.config().native())};
  }
  if (network != NetworkMode::Nat) {
    config.llm = std::move(pointed);
  } else {
    config.llm = core::without_pointer(config.llm);
    config.gateway = core::with_llm_server(config.gateway, server, port_for_gateway());
  }
  state::write_config(impl.layout.config(), config);
}

}  // namespace fireclaw
