#include "core/agents/outside.hpp"

#include <algorithm>
#include <chrono>

#include <fmt/format.h>

#include "base/number.hpp"
#include "core/networks/anchor.hpp"
#include "core/networks/connection.hpp"
#include "core/networks/nat.hpp"
#include "fireclaw/error.hpp"
#include "http/download.hpp"
#include "net/links/bridge.hpp"
#include "state/settings/config.hpp"
#include "state/settings/gateway.hpp"
#include "sys/file.hpp"
#include "sys/socket.hpp"

namespace fireclaw::core {
namespace {

constexpr std::chrono::seconds patience{3};
constexpr std::uint64_t most_answer_bytes = std::uint64_t{4} << 20;
constexpr std::string_view loopback = "127.0.0.1";

/// How this host reaches what machines reach at `host`.
struct Way {
  std::string address;
  /// The service must listen on more than loopback for that.
  bool beyond_loopback = false;
};

Way way_to(const Host::Impl& host, const std::string& name) {
  if (name == user_network_host) return {std::string{loopback}, false};
  const NatNetwork network{host};
  if (name != network.policy().gateway.to_string()) return {name, false};
  // fireclaw-netd serves machines in its namespace with this host's loopback.
  if (!may_configure_network()) return {std::string{loopback}, false};
  if (net::is_bridge_up(network.bridge())) return {name, true};
  // Before the first machine there is no bridge. A server that listens on another address of this host will listen on
  // that one.
  const auto others = host_addresses();
  return others.empty() ? Way{std::string{loopback}, false} : Way{others.front().to_string(), true};
}

std::optional<OutsideTrouble> try_irc(const Host::Impl& host, const OutsideNeeds& needs) {
  auto way = way_to(host, needs.irc_host);
  // `fireclaw irc` listens on loopback and, once it is there, on the bridge.
  const NatNetwork network{host};
  if (way.beyond_loopback && way.address != network.policy().gateway.to_string()) way.address = loopback;
  std::string why;
  if (answers(way.address, needs.irc_port, why)) return std::nullopt;
  return OutsideTrouble{"irc",
                        fmt::format("no IRC server answers agents at {}:{}: {}", needs.irc_host, needs.irc_port, why),
                        "fireclaw irc install, or name another server in config.json: irc.host"};
}

std::optional<OutsideTrouble> try_model(const std::string& address, std::uint16_t port, const std::string& model) {
  std::optional<json::Value> tags;
  try {
    tags = ask_llm_server(fmt::format("http://{}:{}/api/tags", address, port));
  } catch (const Error& problem) {
    // A server of another kind does not know that path.
    if (problem.code() == ErrorCode::NotFound) return std::nullopt;
    throw;
  }
  if (has_model(*tags, model)) return std::nullopt;
  return OutsideTrouble{"model", fmt::format("the LLM server at {}:{} has no model '{}'", address, port, model),
                        fmt::format("ollama pull {}", model)};
}

std::vector<OutsideTrouble> try_llm(const Host::Impl& host, const OutsideNeeds& needs, const std::string& agent) {
  const auto config = host.config();
  auto url = needs.llm_url;
  bool through_gateway = false;
  const auto named = server_of(url);
  if (config.gateway && named &&
      (named->host == "gateway" || named->host == std::string{NatNetwork{host}.policy().gateway.to_string()})) {
    const auto settings = state::read_gateway_settings(*config.gateway);
    const auto* upstream = settings.llm ? state::find_upstream(*settings.llm, agent, needs.model) : nullptr;
    if (upstream != nullptr) {
      url = upstream->url;
      through_gateway = true;
    }
  }
  const auto server = server_of(url);
  if (!server) return {};
  const auto way = through_gateway ? Way{server->host == "localhost" ? std::string{loopback} : server->host, false}
                                   : way_to(host, server->host);
  std::string why;
  if (!answers(way.address, server->port, why)) {
    std::string ignored;
    if (way.beyond_loopback && answers(std::string{loopback}, server->port, ignored)) {
      return {
          {"llm",
           fmt::format("the LLM server on port {} listens on loopback only, where no machine reaches it", server->port),
           "fireclaw gateway --help says how the gateway passes requests on; or start Ollama with "
           "OLLAMA_HOST=0.0.0.0"}};
    }
    return {{"llm", fmt::format("no LLM server answers at {}:{}: {}", server->host, server->port, why),
             way.beyond_loopback || way.address == loopback
                 ? "ollama serve, or name another server in config.json: llm.url"
                 : "name a server that answers in config.json: llm.url"}};
  }
  // TLS is for those who ask in earnest.
  if (url.starts_with("https://")) return {};
  try {
    if (auto trouble = try_model(way.address, server->port, needs.model)) return {std::move(*trouble)};
  } catch (const Error& problem) {
    return {{"llm",
             fmt::format("what answers at {}:{} is not an LLM server: {}", server->host, server->port, problem.what()),
             "name another server in config.json: llm.url"}};
  }
  return {};
}

}  // namespace

OutsideNeeds read_needs(const json::Value& bot) {
  OutsideNeeds needs;
  const auto server = bot.at("server");
  needs.irc_host = server.at("host").as_string();
  if (const auto port = server.find("port")) needs.irc_port = static_cast<std::uint16_t>(port->as_uint());
  needs.llm_url = bot.at("llm").at("url").as_string();
  needs.model = bot.at("llm").at("model").as_string();
  return needs;
}

bool answers(const std::string& address, std::uint16_t port, std::string& why) {
  try {
    static_cast<void>(sys::tcp_connect(address, port, Deadline::after(patience)));
    return true;
  } catch (const Error& problem) {
    why = problem.what();
    return false;
  }
}

json::Value ask_llm_server(const std::string& url) {
  http::DownloadOptions options;
  options.deadline = Deadline::after(patience);
  options.max_bytes = most_answer_bytes;
  return json::Value::parse(http::fetch_text(url, options), "the LLM server's answer");
}

std::optional<ServerName> server_of(std::string_view url) {
  ServerName server;
  constexpr std::string_view plain = "http://";
  constexpr std::string_view secure = "https://";
  if (url.starts_with(plain)) {
    server.port = 80;
    url.remove_prefix(plain.size());
  } else if (url.starts_with(secure)) {
    server.port = 443;
    url.remove_prefix(secure.size());
  } else {
    return std::nullopt;
  }
  const auto place = url.substr(0, url.find('/'));
  const auto colon = place.rfind(':');
  server.host = place.substr(0, colon);
  if (colon != std::string_view::npos) {
    const auto port = parse_number<decltype(server.port)>(place.substr(colon + 1));
    if (!port) return std::nullopt;
    server.port = *port;
  }
  if (server.host.empty()) return std::nullopt;
  return server;
}

std::vector<std::string> servers_elsewhere(const OutsideNeeds& needs, std::string_view gateway) {
  std::vector<std::string> found;
  if (needs.irc_host != gateway) found.push_back(fmt::format("{}:{}", needs.irc_host, needs.irc_port));
  const auto llm = server_of(needs.llm_url);
  if (llm && llm->host != gateway) found.push_back(fmt::format("{}:{}", llm->host, llm->port));
  return found;
}

bool has_model(const json::Value& tags, std::string_view model) {
  const auto full = model.find(':') == std::string_view::npos ? fmt::format("{}:latest", model) : std::string{model};
  const auto models = tags.find("models");
  return models && std::ranges::any_of(models->as_array(), [&](const json::Value& one) {
           const auto name = one.at("name").as_string();
           return name == model || name == full;
         });
}

std::vector<OutsideTrouble> find_outside_trouble(const Host::Impl& host, const OutsideNeeds& needs,
                                                 const std::string& agent) {
  std::vector<OutsideTrouble> found;
  if (auto trouble = try_irc(host, needs)) found.push_back(std::move(*trouble));
  for (auto& trouble : try_llm(host, needs, agent)) found.push_back(std::move(trouble));
  return found;
}

}  // namespace fireclaw::core
