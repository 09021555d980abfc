#include "core/networks/nat.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "core/networks/destinations.hpp"
#include "fireclaw/error.hpp"
#include "net/probe.hpp"
#include "state/config.hpp"
#include "sys/process.hpp"

namespace fireclaw::core {
namespace {

constexpr std::chrono::seconds turn_patience{60};

net::NetworkPolicy policy_of(const Host::Impl& host) {
  auto policy = state::make_network_policy(state::read_config(host.layout.config()).network);
  // The second is for hosts where the first names systemd's stub only.
  if (!policy.resolver) policy.resolver = find_resolver({"/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"});
  return policy;
}

net::BridgeConfig bridge_of(const Host::Impl& host, const net::NetworkPolicy& policy) {
  net::BridgeConfig config;
  config.name = policy.bridge;
  config.subnet = policy.subnet;
  config.gateway = policy.gateway;
  config.owner = host.layout.home().native();
  return config;
}

bool has_loopback_service(const net::NetworkPolicy& policy) {
  return std::ranges::any_of(policy.services, &net::Service::on_loopback);
}

}  // namespace

NatNetwork::NatNetwork(const Host::Impl& host)
    : host_{host},
      policy_{policy_of(host)},
      bridge_{bridge_of(host, policy_)},
      pool_{host.layout.address_pool(), policy_.bridge, policy_.subnet, policy_.gateway, host.logger} {}

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
  net::ensure_bridge(bridge_, host_.layout.network_record());
  if (!firewall().ensure()) return;
  // Loaded anew: after a start of the host, after somebody flushed it, or with another policy.
  reconcile();
  if (has_loopback_service(policy_)) net::allow_loopback(bridge_);
  for (const auto& chain : firewall().foreign_forward_drops()) {
    host_.logger.warning(fmt::format(
        "{} drops packets that it does not know: machines will not reach beyond this host unless it accepts "
        "those from and to {}",
        chain, policy_.bridge.str()));
  }
}

void NatNetwork::reconcile() {
  std::vector<net::VmPolicy> living;
  for (const auto& lease : pool_.list()) {
    if (!sys::is_alive(lease.holder)) continue;
    const auto record = host_.runs.find(lease.run);
    if (record && record->nat) living.push_back(to_policy(*record->nat));
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
    firewall().remove_vm(lease.address);
    net::detach_port(bridge_, lease.tap, lease.address);
    net::Netlink{}.delete_link(lease.tap);
    return pool_.release(lease.address, lease.run);
  } catch (const std::exception& problem) {
    host_.logger.warning(
        fmt::format("{} of VM {} stays on loan: {}", lease.address.to_string(), lease.run, problem.what()));
    return false;
  }
}

bool NatNetwork::remove() {
  // The bridge first: it refuses while machines are attached.
  const bool had_bridge = net::remove_bridge(bridge_, host_.layout.network_record());
  const bool had_rules = firewall().remove();
  return had_bridge || had_rules;
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

net::VmPolicy to_policy(const state::RunNetwork& record) {
  const auto address = net::Ipv4Address::parse(record.address);
  net::VmPolicy policy{net::InterfaceName{record.tap},
                       net::MacAddress::for_address(address),
                       address,
                       net::parse_egress(record.egress),
                       {},
                       record.services ? net::ServiceAccess::All
                       : record.names  ? net::ServiceAccess::Names
                                       : net::ServiceAccess::None,
                       {}};
  for (const auto& text : record.allow) policy.allow.push_back(net::Destination::parse(text));
  for (const auto& text : record.publish) policy.publish.push_back(net::Publication::parse(text));
  return policy;
}

state::RunNetwork to_record(const net::VmPolicy& policy) {
  state::RunNetwork record{policy.address.to_string(),
                           policy.tap.str(),
                           std::string{net::to_string(policy.egress)},
                           {},
                           {},
                           policy.services == net::ServiceAccess::All,
                           policy.services != net::ServiceAccess::None};
  for (const auto& destination : policy.allow) record.allow.push_back(destination.to_string());
  for (const auto& port : policy.publish) record.publish.push_back(port.to_string());
  return record;
}

void disconnect_run(const Host::Impl& host, const state::RunRecord& record) noexcept {
  if (!record.nat) return;
  try {
    const auto policy = to_policy(*record.nat);
    NatNetwork network{host};
    const auto turn = network.take_turn();
    // Only if it still is this machine's: somebody else may have been faster.
    for (const auto& lease : network.pool().list()) {
      if (lease.address == policy.address && lease.run == record.id) network.disconnect(lease);
    }
  } catch (const std::exception& problem) {
    host.logger.warning(fmt::format("the network of VM {} is not undone: {}", record.id, problem.what()));
  }
}

std::vector<net::Lease> reclaim_leases(const Host::Impl& host) {
  if (!std::filesystem::exists(host.layout.address_pool())) return {};
  NatNetwork network{host};
  const auto turn = network.take_turn();
  return network.reclaim();
}

}  // namespace fireclaw::core
