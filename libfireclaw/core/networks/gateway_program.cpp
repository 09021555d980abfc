#include <algorithm>
#include <chrono>
#include <filesystem>
#include <iterator>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/clock.hpp"
#include "core/networks/anchor.hpp"
#include "core/networks/gateway.hpp"
#include "core/networks/nat.hpp"
#include "fireclaw/error.hpp"
#include "fireclaw/gateway.hpp"
#include "gateway/cost.hpp"
#include "gateway/llm/service.hpp"
#include "gateway/names/service.hpp"
#include "gateway/names/sources.hpp"
#include "gateway/proxy/rules.hpp"
#include "gateway/records/files.hpp"
#include "gateway/records/refusals.hpp"
#include "gateway/server.hpp"
#include "http/client.hpp"
#include "json/record.hpp"
#include "net/firewall/openings.hpp"
#include "net/firewall/packet_log.hpp"
#include "state/settings/config.hpp"
#include "state/settings/secrets.hpp"
#include "sys/file.hpp"
#include "sys/process.hpp"

namespace fireclaw {
namespace {

constexpr std::chrono::seconds answer_limit{5};

/// Without machines for this long it ends.
constexpr std::chrono::minutes idle_patience{10};

struct Found {
  gateway::Place place;
  core::GatewayRecord record;
};

/// That of the machines that this process starts; else the other.
std::optional<Found> find_any(const Host::Impl& host) {
  const auto own = core::gateway_place();
  const auto other = own == gateway::Place::Host ? gateway::Place::Anchor : gateway::Place::Host;
  for (const auto place : {own, other}) {
    if (auto found = core::find_gateway(host, place)) return Found{place, *std::move(found)};
  }
  return std::nullopt;
}

std::string get(const Host::Impl& host, gateway::Place place, const std::string& target) {
  http::Limits limits;
  limits.deadline = Deadline::after(answer_limit);
  http::Request request;
  request.method = "GET";
  request.target = target;
  const auto socket = gateway::files_of(host.layout, place).status_socket;
  return http::Client::over_unix_socket(socket).send(request, limits).body;
}

state::SecretStore secrets_of(const Host& host) {
  const auto& layout = Access::impl(host)->layout;
  return {gateway::secrets_file(layout), layout.lock("secrets")};
}

/// Whether gateway.json still names this process: otherwise the home folder is gone, or has another one.
bool is_named(const Host::Impl& host, gateway::Place place) {
  try {
    const auto found = core::find_gateway(host, place);
    return found && found->process == sys::current_process();
  } catch (const Error& problem) {
    host.logger.error(problem.what());
    return false;
  }
}

/// Ends a gateway that has had no machines for some minutes.
class IdleWatch {
 public:
  IdleWatch(const Host::Impl& host, gateway::Place place) : host_{host}, place_{place} {}

  bool retires() {
    const auto now = std::chrono::steady_clock::now();
    try {
      if (core::has_machines(host_)) needed_ = now;
      return now - needed_ >= idle_patience && core::retire_gateway(host_, place_, idle_patience);
    } catch (const std::exception& problem) {
      host_.logger.error(problem.what());
      needed_ = now;
      return false;
    }
  }

 private:
  const Host::Impl& host_;
  gateway::Place place_;
  std::chrono::steady_clock::time_point needed_ = std::chrono::steady_clock::now();
};

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
      logger_.error(fmt::format("what agents have used today is counted from 0: {}", problem.what()));
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
  /// All outlive it. `names`: as soon as there is one.
  PacketRefusals(const net::NetworkPolicy& policy, const core::Anchor* anchor, gateway::HomeSources& sources,
                 const std::optional<gateway::NameService>& names, gateway::Refusals& refusals)
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
                            .name = names_ ? names_->name_of(sender, packet.destination) : std::string{},
                            .rule = packet.rule,
                            .reason = std::string{rule->reason}});
  }

  net::PacketLog log_;
  gateway::HomeSources& sources_;
  const std::optional<gateway::NameService>& names_;
  gateway::Refusals& refusals_;
};

/// What the HTTP proxy works with.
gateway::HttpRules http_rules(gateway::NameSources& names, gateway::Lookups& lookups, net::Ipv4Network machines) {
  gateway::HttpRules rules;
  rules.sources = &names;
  // As with names that are allowed, those that this host alone knows are among them.
  rules.find_addresses = [&lookups](const std::string& name, gateway::Lookups::Addresses done) {
    lookups.find_addresses(name, true, std::move(done));
  };
  // Connections are made from this host: neither its own addresses nor the machines' are part of the outside.
  rules.admitted = [machines](const std::vector<gateway::Lookups::Address>& found) {
    const auto own = core::host_addresses();
    std::vector<net::Ipv4Address> admitted;
    for (const auto& [address, ttl] : found) {
      const bool outside = net::is_public(address) && !machines.contains(address);
      if (outside && std::ranges::find(own, address) == own.end()) admitted.push_back(address);
    }
    return admitted;
  };
  return rules;
}

/// A gateway's process: what it serves, and what it looks after meanwhile.
class GatewayProgram {
 public:
  GatewayProgram(const Host::Impl& host, bool inherited)
      : host_{host},
        inherited_{inherited},
        anchor_{anchor_of(host, place_, inherited)},
        parts_{inherited ? core::GatewayParts::inherited() : core::GatewayParts::make(host, place_)} {}

  void run(const std::stop_token& stop) {
    // What has started it has written that down.
    if (!inherited_) {
      core::put_gateway(host_, sys::current_process(), policy_.gateway, missing_, where());
      core::where_network_is(host_, [](core::NatNetwork& there) {
        const auto turn = there.take_turn();
        there.ensure();
      });
    }
    auto first = serve_at(std::move(parts_.sockets));
    watch_packets(first);
    const std::stop_callback passed_on{stop, [this] { end_.request_stop(); }};
    gateway::Upkeep upkeep;
    upkeep.work = [this] { return look_after(); };
    upkeep.problems = [this] {
      auto all = lasting_;
      all.insert(all.end(), problems_.begin(), problems_.end());
      return all;
    };
    gateway::serve(sources_, service_, std::move(parts_.status), std::move(first), {}, host_.logger, upkeep,
                   end_.get_token());
    std::filesystem::remove(files_.status_socket);
  }

 private:
  static std::optional<core::Anchor> anchor_of(const Host::Impl& host, gateway::Place place, bool inherited) {
    if (place != gateway::Place::Anchor) return std::nullopt;
    return inherited ? core::Anchor::find(host) : core::Anchor::ensure(host);
  }

  [[nodiscard]] const core::Anchor* where() const { return anchor_ ? &*anchor_ : nullptr; }

  /// Does without a part of the gateway: the others are served all the same.
  void do_without(std::string_view what, const Error& problem) {
    lasting_.push_back(fmt::format("{}: {}", what, problem.what()));
    host_.logger.error(lasting_.back());
  }

  gateway::Listeners serve_at(core::GatewaySockets sockets) {
    if (sockets.llm) missing_.llm.reset();
    if (sockets.irc) missing_.irc.reset();
    gateway::Listeners listeners{std::move(sockets.llm), std::move(sockets.irc)};
    if (sockets.http) {
      missing_.http = false;
      try {
        lookups_.emplace(gateway::NameServer{core::name_server_of(config_)});
        listeners.http.emplace(
            gateway::HttpListener{*std::move(sockets.http), http_rules(names_, *lookups_, policy_.subnet)});
        listeners.attendants.push_back({lookups_->fd(), [this] { lookups_->run(); }});
      } catch (const Error& problem) {
        do_without("machines get no way to web servers", problem);
      }
    }
    if (!sockets.names_udp || !sockets.names_tcp) return listeners;
    missing_.names = false;
    try {
      name_service_.emplace(names_, gateway::NameServer{core::name_server_of(config_)},
                            gateway::NameService::Sockets{*std::move(sockets.names_udp), *std::move(sockets.names_tcp)},
                            policy_.gateway, name_actions(policy_, where(), refusals_), gateway::NameLimits{}, clock_,
                            host_.logger);
      listeners.attendants.push_back({name_service_->fd(), [this] { name_service_->run(); }});
    } catch (const Error& problem) {
      do_without("machines get no names", problem);  // without c-ares, for instance
    }
    return listeners;
  }

  gateway::Listeners serve_missing() {
    auto sockets = core::bind_ports(host_, policy_.gateway, missing_, where());
    for (const auto& problem : sockets.problems) {
      if (std::ranges::find(problems_, problem) == problems_.end()) host_.logger.warning(problem);
    }
    problems_ = std::move(sockets.problems);
    return serve_at(std::move(sockets));
  }

  void watch_packets(gateway::Listeners& listeners) {
    if (!net::PacketLog::is_available() && where() == nullptr) return;
    try {
      packets_.emplace(policy_, where(), sources_, name_service_, refusals_);
      listeners.attendants.push_back({packets_->fd(), [this] { packets_->run(); }});
    } catch (const Error& problem) {
      do_without("what the firewall refuses is not logged", problem);
    }
  }

  bool is_wanted() {
    if (anchor_ && !sys::is_alive(anchor_->holder())) return false;
    return is_named(host_, place_) && !(inherited_ && idle_.retires());
  }

  gateway::Listeners look_after() {
    kept_.write();
    try {
      core::keep_log_short(files_.log);
    } catch (const std::exception& problem) {
      host_.logger.error(problem.what());
    }
    if (std::exchange(begun_, true) && !is_wanted()) end_.request_stop();
    return end_.stop_requested() ? gateway::Listeners{} : serve_missing();
  }

  const Host::Impl& host_;
  bool inherited_;
  state::Config config_ = host_.config();
  core::NatNetwork network_{host_};
  const net::NetworkPolicy& policy_ = network_.policy();
  gateway::Place place_ = core::gateway_place();
  gateway::Files files_ = gateway::files_of(host_.layout, place_);
  std::optional<core::Anchor> anchor_;
  /// Before what reads and binds what an earlier gateway lets go of at its end.
  core::GatewayParts parts_;
  SystemClock clock_;
  gateway::HomeSources sources_{host_.layout, policy_, host_.logger};
  gateway::Refusals refusals_{gateway::refusals_file(host_.layout), clock_, host_.logger};
  gateway::LlmService service_{sources_, refusals_, clock_, host_.logger};
  KeptLedger kept_{service_.ledger(), files_.usage, host_.logger};
  gateway::HomeNames names_{host_.layout, sources_, host_.logger};
  std::optional<gateway::NameService> name_service_;
  std::optional<gateway::Lookups> lookups_;
  std::optional<PacketRefusals> packets_;

  // What is not served yet, and why. What stands in the way may go.
  core::GatewayPorts missing_ = core::gateway_ports(config_);
  std::vector<std::string> problems_;
  std::vector<std::string> lasting_;
  std::stop_source end_;
  IdleWatch idle_{host_, place_};
  /// What has started it writes gateway.json meanwhile.
  bool begun_ = false;
};

}  // namespace

GatewayInfo Gateway::info() const {
  const auto& impl = *Access::impl(host_);
  GatewayInfo info;
  const auto config = impl.config();
  info.configured = config.gateway.has_value();
  info.irc_address = core::irc_address(core::NatNetwork{impl}.policy().gateway, core::gateway_ports(config));
  const auto found = find_any(impl);
  if (!found) return info;
  std::string text;
  try {
    text = get(impl, found->place, "/status");
  } catch (const Error&) {
    if (!sys::is_ending(found->record.process)) throw;
    return info;
  }
  info.running = true;
  info.pid = found->record.process.pid;
  info.address = found->record.address;
  info.irc_address = found->record.irc_address;
  auto status = json::read_record<gateway::Status>(json::Value::parse(text, "the gateway's status"));
  std::ranges::transform(status.agents, std::back_inserter(info.agents), gateway::to_agent);
  info.problems = std::move(status.problems);
  for (auto& [name, by, rule, count] : status.refused) {
    info.refusals.push_back({std::move(name), std::move(by), std::move(rule), count});
  }
  info.upstreams = std::move(status.upstreams);
  info.irc_servers = std::move(status.irc);
  info.http = status.http;
  return info;
}

std::string Gateway::metrics() const {
  const auto& impl = *Access::impl(host_);
  const auto found = find_any(impl);
  if (!found) throw Error{ErrorCode::NotFound, "no gateway runs; the network brings it up: fireclaw network up"};
  return get(impl, found->place, "/metrics");
}

bool Gateway::ensure() const {
  const auto& impl = *Access::impl(host_);
  const auto place = core::gateway_place();
  if (!core::gateway_ports(impl.config()).any() || core::find_gateway(impl, place)) {
    return false;
  }
  if (!core::has_machines(impl)) return false;
  core::NatNetwork network{impl};
  const auto anchor = place == gateway::Place::Host ? std::nullopt : core::Anchor::find(impl);
  if (!anchor && (place == gateway::Place::Anchor || !net::is_bridge_up(network.bridge()))) return false;
  const auto turn = network.take_turn();
  core::ensure_gateway(impl, network.policy(), anchor ? &*anchor : nullptr);
  return core::find_gateway(impl, place).has_value();
}

GatewayCost Gateway::measure(unsigned rounds, std::stop_token stop) { return gateway::measure_cost(rounds, stop); }

void Gateway::serve(bool inherited, std::stop_token stop) const {
  GatewayProgram{*Access::impl(host_), inherited}.run(stop);
}

void Secrets::set(const std::string& name, const std::string& value) const { secrets_of(host_).set(name, value); }

std::vector<std::string> Secrets::list() const {
  std::vector<std::string> names;
  for (const auto& [name, value] : secrets_of(host_).read()) names.push_back(name);
  return names;
}

void Secrets::remove(const std::string& name) const {
  if (!secrets_of(host_).remove(name)) {
    throw Error{ErrorCode::NotFound, fmt::format("no secret '{}'; see: fireclaw secret list", name)};
  }
}

}  // namespace fireclaw
