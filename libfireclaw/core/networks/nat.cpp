#include "core/networks/nat.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "core/networks/anchor.hpp"
#include "core/networks/destinations.hpp"
#include "core/networks/gateway.hpp"
#include "fireclaw/error.hpp"
#include "net/firewall/probe.hpp"
#include "state/records/run_policy.hpp"
#include "sys/process.hpp"

namespace fireclaw::core {
namespace {

constexpr std::chrono::seconds turn_patience{60};

net::BridgeConfig bridge_of(const Host::Impl& host, const net::NetworkPolicy& policy) {
  net::BridgeConfig config;
  config.name = policy.bridge;
  config.subnet = policy.subnet;
  config.gateway = policy.gateway;
  config.owner = host.layout.home().native();
  return config;
}

net::NetworkPolicy policy_of(const state::Config& config) {
  auto policy = state::make_network_policy(config.network);
  open_gateway(policy, config);
  return policy;
}

bool has_loopback_service(const net::NetworkPolicy& policy) {
  return std::ranges::any_of(policy.services, &net::Service::on_loopback);
}

}  // namespace

NatNetwork::NatNetwork(const Host::Impl& host) : NatNetwork{host, {}, host.logger} {}

NatNetwork::NatNetwork(const Host::Impl& host, NatPlace place, Logger logger)
    : NatNetwork{host, std::move(place), std::move(logger), host.config()} {}

NatNetwork::NatNetwork(const Host::Impl& host, NatPlace place, Logger logger, const state::Config& config)
    : host_{host},
      place_{std::move(place)},
      logger_{std::move(logger)},
      policy_{policy_of(config)},
      resolver_{name_server_of(config)},
      bridge_{bridge_of(host, policy_)},
      pool_{host.layout.address_pool(), policy_.bridge, policy_.subnet, policy_.gateway, logger_} {
  if (place_.kind != NatPlace::Kind::Anchored) return;
  policy_ = in_anchor(std::move(policy_));
  policy_.host_addresses = place_.host_addresses;
}

net::Firewall& NatNetwork::firewall() {
  if (!firewall_) firewall_.emplace(policy_, host_.layout.lock("firewall"));
  return *firewall_;
}

sys::FileLock NatNetwork::take_turn() const {
  return sys::FileLock::acquire(host_.layout.lock("network"), sys::FileLock::Mode::Exclusive,
                                Deadline::after(std::chrono::nanoseconds{turn_patience}),
                                "the network, which another fireclaw is changing");
}

void NatNetwork::ensure() {
  // The lock's file stays when the network goes: it is there from the first change on.
  const bool is_first = !std::filesystem::exists(net::bridge_lock(host_.layout.network_record()));
  net::ensure_bridge(bridge_, host_.layout.network_record());
  if (is_first && place_.kind == NatPlace::Kind::Here) {
    logger_.warning(fmt::format(
        "this host now has bridge '{}' ({}), an nftables table and IPv4 forwarding for machines; fireclaw network "
        "down removes them",
        bridge_.name.str(), bridge_.subnet.to_string()));
  }
  // The gateway of an anchor's network runs outside of it.
  if (place_.kind != NatPlace::Kind::Anchored) ensure_gateway(host_, policy_);
  if (!firewall().ensure()) return;
  // Loaded again: after a start of the host, after somebody flushed it, or with another policy.
  reconcile();
  if (has_loopback_service(policy_)) net::allow_loopback(bridge_);
  for (const auto& rule : firewall().foreign_drops()) {
    logger_.warning(fmt::format("{}; fix it with: {}", rule.problem, rule.remedy));
  }
}

void NatNetwork::reconcile() {
  std::vector<net::VmPolicy> living;
  for (const auto& lease : pool_.list()) {
    if (!sys::is_alive(lease.holder)) continue;
    const auto record = host_.runs.find(lease.run);
    // Those of an anchor that has ended have lost their network with it.
    if (record && record->nat && record->nat->anchor == place_.anchor) living.push_back(state::to_policy(*record->nat));
  }
  firewall().reconcile(living);
}

std::vector<net::Lease> NatNetwork::reclaim() {
  std::vector<net::Lease> reclaimed;
  for (const auto& lease : pool_.list()) {
    if (!sys::is_alive(lease.holder) && disconnect(lease)) reclaimed.push_back(lease);
  }
  return reclaimed;
}

bool NatNetwork::disconnect(const net::Lease& lease) noexcept {
  try {
    if (place_.kind == NatPlace::Kind::Nowhere) return pool_.release(lease.address, lease.run);
    firewall().remove_vm(lease.address);
    net::detach_port(bridge_, lease.tap, lease.address);
    net::Netlink{}.delete_link(lease.tap);
    return pool_.release(lease.address, lease.run);
  } catch (const std::exception& problem) {
    logger_.warning(fmt::format("{} of VM {} stays on loan: {}", lease.address.to_string(), lease.run, problem.what()));
    return false;
  }
}

bool NatNetwork::remove() {
  std::vector<net::InterfaceName> on_loan;
  for (const auto& lease : pool_.list()) on_loan.push_back(lease.tap);
  net::remove_ports(bridge_, on_loan);
  // The bridge first: it refuses while machines are attached.
  const bool had_bridge = net::remove_bridge(bridge_, host_.layout.network_record());
  const bool anchored = place_.kind == NatPlace::Kind::Anchored;
  const bool had_gateway = end_gateway(host_, anchored ? gateway::Place::Anchor : gateway::Place::Host);
  const bool had_rules = firewall().remove();
  return had_bridge || had_rules || had_gateway;
}

std::optional<net::Ipv4Address> find_outer_resolver(const NatNetwork& network) {
  // One on this host's loopback answers this host alone.
  if (network.resolver() && *network.resolver() != net::loopback_address) return network.resolver();
  // The second is for hosts where the first names systemd's stub only.
  return find_resolver({"/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"});
}

std::vector<net::Ipv4Address> host_addresses() {
  const auto loopback = net::Ipv4Network::parse("127.0.0.0/8");
  std::vector<net::Ipv4Address> found;
  for (const auto& entry : net::Netlink{}.addresses()) {
    if (!loopback.contains(entry.address)) found.push_back(entry.address);
  }
  std::ranges::sort(found);
  found.erase(std::unique(found.begin(), found.end()), found.end());
  return found;
}

void where_network_is(const Host::Impl& host, const std::function<void(NatNetwork&)>& action) {
  if (may_configure_network()) {
    NatNetwork network{host};
    action(network);
    return;
  }
  const auto anchor = Anchor::find(host);
  if (!anchor) {
    NatNetwork network{host, {NatPlace::Kind::Nowhere}, host.logger};
    action(network);
    return;
  }
  const NatPlace place{NatPlace::Kind::Anchored, anchor->holder(), host_addresses()};
  anchor->run([&](const Logger& logger) -> std::optional<sys::Fd> {
    NatNetwork network{host, place, logger};
    action(network);
    return std::nullopt;
  });
}

std::vector<NetworkObstacle> find_obstacles(NatNetwork& network) {
  std::vector<NetworkObstacle> found;
  for (auto& obstacle : net::can_manage_network().obstacles) {
    found.push_back({std::move(obstacle.problem), std::move(obstacle.remedy)});
  }
  if (!found.empty()) return found;
  if (const auto problem = net::find_bridge_obstacle(network.bridge())) {
    found.push_back({*problem, "name another bridge and subnet in config.json (network.bridge, network.subnet)"});
    return found;
  }
  // A bridge that is up tells that the firewall was loaded, too.
  if (net::is_bridge_up(network.bridge())) return found;
  try {
    network.firewall().try_out();
  } catch (const Error& problem) {
    found.push_back({problem.what(), "load the kernel's modules for nftables, or use --net user"});
  }
  return found;
}

void disconnect_run(const Host::Impl& host, const state::RunRecord& record) noexcept {
  if (!record.nat) return;
  try {
    where_network_is(host, [&](NatNetwork& network) {
      const auto policy = state::to_policy(*record.nat);
      const auto turn = network.take_turn();
      // Only if it still is this machine's: somebody else may have been faster.
      for (const auto& lease : network.pool().list()) {
        if (lease.address == policy.address && lease.run == record.id) network.disconnect(lease);
      }
    });
  } catch (const std::exception& problem) {
    host.logger.warning(fmt::format("the network of VM {} is not undone: {}", record.id, problem.what()));
  }
}

std::vector<net::Lease> reclaim_leases(const Host::Impl& host) {
  if (!std::filesystem::exists(host.layout.address_pool())) return {};
  const NatNetwork outside{host};
  auto leases = outside.leases();
  const bool nothing =
      std::ranges::none_of(leases, [](const net::Lease& lease) { return !sys::is_alive(lease.holder); });
  if (nothing) return {};
  where_network_is(host, [](NatNetwork& network) {
    const auto turn = network.take_turn();
    network.reclaim();
  });
  const auto left = outside.leases();
  std::erase_if(leases, [&](const net::Lease& lease) { return std::ranges::find(left, lease) != left.end(); });
  return leases;
}

}  // namespace fireclaw::core
