#include <algorithm>
#include <chrono>
#include <filesystem>
#include <memory>
#include <span>
#include <stop_token>
#include <utility>

#include <fmt/format.h>

#include "base/clock.hpp"
#include "core/networks/anchor.hpp"
#include "core/networks/gateway.hpp"
#include "core/networks/nat.hpp"
#include "fireclaw/error.hpp"
#include "fireclaw/gateway.hpp"
#include "gateway/files.hpp"
#include "gateway/llm.hpp"
#include "gateway/name_sources.hpp"
#include "gateway/names.hpp"
#include "gateway/refusals.hpp"
#include "gateway/server.hpp"
#include "http/client.hpp"
#include "json/record.hpp"
#include "net/openings.hpp"
#include "net/packet_log.hpp"
#include "state/config.hpp"
#include "state/secrets.hpp"
#include "sys/file.hpp"
#include "sys/process.hpp"

namespace fireclaw {
namespace {

constexpr std::chrono::seconds answer_limit{5};

http::Client ask(const Host::Impl& host) { return http::Client::over_unix_socket(gateway::status_socket(host.layout)); }

std::string get(const Host::Impl& host, const std::string& target) {
  http::Limits limits;
  limits.deadline = Deadline::after(answer_limit);
  http::Request request;
  request.method = "GET";
  request.target = target;
  return ask(host).send(request, limits).body;
}

GatewayAgent describe(const gateway::AgentCounts& counts) {
  const auto milliseconds = [](std::uint64_t us) {
    return std::chrono::round<std::chrono::milliseconds>(std::chrono::microseconds{us});
  };
  return {counts.name,
          counts.requests,
          counts.refused,
          counts.errors,
          counts.prompt_tokens,
          counts.completion_tokens,
          milliseconds(counts.answers == 0 ? 0 : counts.first_token_us / counts.answers),
          milliseconds(counts.longest_first_token_us)};
}

GatewayUpstream describe(gateway::UpstreamCounts counts) {
  return {std::move(counts.name), std::move(counts.url),       counts.requests, counts.errors, counts.running,
          counts.waiting,         std::move(counts.last_error)};
}

GatewayIrcServer describe(gateway::IrcCounts counts) {
  return {std::move(counts.name),      std::move(counts.server), counts.connections, counts.errors, counts.open,
          std::move(counts.last_error)};
}

state::SecretStore secrets_of(const Host& host) {
  const auto& layout = Access::impl(host)->layout;
  return {gateway::secrets_file(layout), layout.lock("secrets")};
}

/// Whether gateway.json still names this process: otherwise the home folder is gone, or has another one.
bool is_named(const Host::Impl& host) {
  try {
    const auto found = core::find_gateway(host);
    return found && found->process == sys::current_process();
  } catch (const Error& problem) {
    host.logger.error(problem.what());
    return false;
  }
}

/// What was used of the day's limits is kept across gateways.
class KeptLedger {
 public:
  KeptLedger(gateway::Ledger& ledger, std::filesystem::path file, const Logger& logger)
      : ledger_{ledger}, file_{std::move(file)}, logger_{logger} {
    if (!std::filesystem::exists(file_)) return;
    try {
      ledger_.read(json::Value::parse_file(file_));
      written_ = ledger_.to_json();
    } catch (const Error& problem) {
      logger_.error(fmt::format("what agents have used today begins at nothing: {}", problem.what()));
    }
  }

  void write() {
    try {
      auto text = ledger_.to_json();
      if (text == written_) return;
      sys::replace_file(file_, text);
      written_ = std::move(text);
    } catch (const std::exception& problem) {
      logger_.error(problem.what());
    }
  }

 private:
  gateway::Ledger& ledger_;
  std::filesystem::path file_;
  const Logger& logger_;
  std::string written_;
};

/// What the answers of the name server do to the firewall, which is the anchor's or this network namespace's.
gateway::NameService::Actions name_actions(const net::NetworkPolicy& policy, const core::Anchor* anchor,
                                           gateway::Refusals& refusals) {
  auto socket = anchor != nullptr
                    ? anchor->run([](const Logger&) { return std::optional{net::Openings::open_socket()}; }).value()
                    : net::Openings::open_socket();
  const auto openings = std::make_shared<net::Openings>(policy.bridge, std::move(socket));
  return {
      [openings](const net::VmPolicy& vm, std::span<const net::Destination> destinations,
                 std::chrono::milliseconds lifetime) { return openings->open(vm, destinations, lifetime); },
      [&refusals](const gateway::NameRefusal& refusal) {
        refusals.add(
            refusal.client,
            {.by = gateway::RefusedBy::Names, .name = refusal.name, .rule = refusal.rule, .reason = refusal.reason});
      }};
}

/// Writes down what the firewall refuses.
class PacketRefusals {
 public:
  /// All outlive it. `names`: null where there is no name server.
  PacketRefusals(const net::NetworkPolicy& policy, const core::Anchor* anchor, gateway::HomeSources& sources,
                 const gateway::NameService* names, gateway::Refusals& refusals)
      : log_{policy.bridge,
             anchor != nullptr
                 ? anchor->run([](const Logger&) { return std::optional{net::PacketLog::open_socket()}; }).value()
                 : net::PacketLog::open_socket()},
        sources_{sources},
        names_{names},
        refusals_{refusals} {}

  [[nodiscard]] int fd() const noexcept { return log_.fd(); }
  void run() {
    for (const auto& packet : log_.read()) add(packet);
  }

 private:
  void add(const net::RefusedPacket& packet) {
    // Where the bridge saw it, its tap says who sent it; else its address does, which the bridge has checked.
    const auto tap = log_.interface_name(packet.tap_index);
    const auto sender = tap.empty() ? packet.source.to_string() : sources_.address_of_tap(tap).value_or("");
    const auto client = sources_.client(sender);
    const auto rule = std::ranges::find(net::refusal_rules, packet.rule, &net::RefusalRule::name);
    if (!client || rule == std::ranges::end(net::refusal_rules)) return;
    refusals_.add(*client, {.by = gateway::RefusedBy::Firewall,
                            .protocol = packet.protocol,
                            .address = packet.destination.to_string(),
                            .port = packet.port,
                            .name = names_ != nullptr ? names_->name_of(sender, packet.destination) : std::string{},
                            .rule = packet.rule,
                            .reason = std::string{rule->reason}});
  }

  net::PacketLog log_;
  gateway::HomeSources& sources_;
  const gateway::NameService* names_;
  gateway::Refusals& refusals_;
};

}  // namespace

GatewayInfo Gateway::info(const Host& host) {
  const auto& impl = *Access::impl(host);
  GatewayInfo info;
  const auto config = state::read_config(impl.layout.config());
  info.configured = config.gateway.has_value();
  info.irc_address = core::irc_address(core::NatNetwork{impl}.policy().gateway, core::gateway_ports(config));
  const auto found = core::find_gateway(impl);
  if (!found) return info;
  info.running = true;
  info.pid = found->process.pid;
  info.address = found->address;
  info.irc_address = found->irc_address;
  auto status = json::read_record<gateway::Status>(json::Value::parse(get(impl, "/status"), "the gateway's status"));
  for (const auto& counts : status.agents) info.agents.push_back(describe(counts));
  for (auto& counts : status.upstreams) info.upstreams.push_back(describe(std::move(counts)));
  for (auto& [name, by, rule, count] : status.refused) {
    info.refusals.push_back({std::move(name), std::move(by), std::move(rule), count});
  }
  for (auto& counts : status.irc) info.irc_servers.push_back(describe(std::move(counts)));
  return info;
}

std::string Gateway::metrics(const Host& host) {
  const auto& impl = *Access::impl(host);
  if (!core::find_gateway(impl)) {
    throw Error{ErrorCode::NotFound, "no gateway runs; the network brings it up: fireclaw network up"};
  }
  return get(impl, "/metrics");
}

bool Gateway::ensure(const Host& host) {
  const auto& impl = *Access::impl(host);
  if (!core::gateway_ports(state::read_config(impl.layout.config())).any() || core::find_gateway(impl)) return false;
  core::NatNetwork network{impl};
  const auto anchor = core::may_configure_network() ? std::nullopt : core::Anchor::find(impl);
  if (!anchor && !net::is_bridge_up(network.bridge())) return false;
  const auto turn = network.take_turn();
  core::ensure_gateway(impl, network.policy(), anchor ? &*anchor : nullptr);
  return core::find_gateway(impl).has_value();
}

void Gateway::serve(const Host& host, bool inherited, std::stop_token stop) {
  const auto& impl = *Access::impl(host);
  const auto config = state::read_config(impl.layout.config());
  core::NatNetwork network{impl};
  const auto& policy = network.policy();
  const auto ports = core::gateway_ports(config);
  std::optional<core::Anchor> anchor;
  if (!core::may_configure_network()) {
    if (inherited) {
      anchor = core::Anchor::find(impl);
    } else {
      anchor.emplace(core::Anchor::ensure(impl));
    }
  }
  const auto* const where = anchor ? &*anchor : nullptr;
  auto parts =
      inherited ? core::GatewayParts::inherited() : core::make_gateway_parts(impl, policy.gateway, ports, where);
  // What has started it has written that down.
  if (!inherited) {
    core::put_gateway(impl, sys::current_process(), policy.gateway, ports, where);
    core::where_network_is(impl, [](core::NatNetwork& there) {
      const auto turn = there.take_turn();
      there.ensure();
    });
  }
  const SystemClock clock;
  gateway::HomeSources sources{impl.layout, policy, impl.logger};
  gateway::Refusals refusals{gateway::refusals_file(impl.layout), clock, impl.logger};
  gateway::LlmService service{sources, refusals, clock, impl.logger};
  KeptLedger kept{service.ledger(), gateway::usage_file(impl.layout), impl.logger};
  gateway::Listeners listeners{std::move(parts.llm), std::move(parts.irc), std::move(parts.status), {}};
  gateway::HomeNames names{impl.layout, sources, impl.logger};
  std::optional<gateway::NameService> name_service;
  if (parts.names_udp && parts.names_tcp) {
    try {
      name_service.emplace(names, gateway::NameServer{core::name_server_of(config)},
                           gateway::NameService::Sockets{*std::move(parts.names_udp), *std::move(parts.names_tcp)},
                           policy.gateway, name_actions(policy, where, refusals), gateway::NameLimits{}, clock,
                           impl.logger);
      listeners.attendants.push_back({name_service->fd(), [&] { name_service->run(); }});
    } catch (const Error& problem) {
      // Without c-ares, for instance: the others are served all the same.
      impl.logger.error(fmt::format("machines get no names: {}", problem.what()));
    }
  }
  std::optional<PacketRefusals> packets;
  if (net::PacketLog::is_available() || where != nullptr) {
    try {
      packets.emplace(policy, where, sources, name_service ? &*name_service : nullptr, refusals);
      listeners.attendants.push_back({packets->fd(), [&] { packets->run(); }});
    } catch (const Error& problem) {
      impl.logger.error(fmt::format("what the firewall refuses is not written down: {}", problem.what()));
    }
  }
  std::stop_source end;
  const std::stop_callback passed_on{stop, [&] { end.request_stop(); }};
  const auto now_and_then = [&] {
    kept.write();
    const bool served = !anchor || sys::is_alive(anchor->holder());
    if (!served || !is_named(impl)) end.request_stop();
  };
  gateway::serve(sources, service, std::move(listeners), {}, impl.logger, now_and_then, end.get_token());
  std::filesystem::remove(gateway::status_socket(impl.layout));
}

void Secrets::set(const Host& host, const std::string& name, const std::string& value) {
  secrets_of(host).set(name, value);
}

std::vector<std::string> Secrets::list(const Host& host) {
  std::vector<std::string> names;
  for (const auto& [name, value] : secrets_of(host).read()) names.push_back(name);
  return names;
}

void Secrets::remove(const Host& host, const std::string& name) {
  if (!secrets_of(host).remove(name)) {
    throw Error{ErrorCode::NotFound, fmt::format("no secret '{}'; see: fireclaw secret list", name)};
  }
}

}  // namespace fireclaw
