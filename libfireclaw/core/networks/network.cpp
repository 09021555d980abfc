#include "fireclaw/network.hpp"

#include <optional>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "core/networks/anchor.hpp"
#include "core/networks/gateway.hpp"
#include "core/networks/nat.hpp"
#include "fireclaw/collections.hpp"
#include "fireclaw/error.hpp"
#include "sys/process.hpp"

namespace fireclaw {
namespace {

NetworkLease lease_of(const net::Lease& lease) {
  return {lease.address.to_string(), lease.mac().to_string(),    lease.tap.str(), lease.run,
          lease.holder.pid,          sys::is_alive(lease.holder)};
}

}  // namespace

NetworkInfo Network::info() const {
  const auto& impl = *Access::impl(host_);
  core::NatNetwork network{impl};
  const auto& policy = network.policy();
  NetworkInfo info;
  if (core::may_configure_network()) {
    info.obstacles = core::find_obstacles(network);
    info.up = net::is_bridge_up(network.bridge());
    if (info.obstacles.empty()) {
      for (auto& rule : network.firewall().foreign_drops()) {
        info.foreign_rules.push_back({std::move(rule.problem), std::move(rule.remedy)});
      }
    }
  } else if (const auto anchor = core::Anchor::find(impl)) {
    info.up = anchor->ask([&](const Logger&) { return net::is_bridge_up(network.bridge()) ? "up" : "down"; }) == "up";
  } else {
    info.obstacles = core::find_anchor_obstacles(impl);
  }
  info.bridge = policy.bridge.str();
  info.subnet = policy.subnet.to_string();
  info.gateway = policy.gateway.to_string();
  if (const auto& resolver = network.resolver()) info.resolver = resolver->to_string();
  for (const auto& service : policy.services) info.services.push_back(service.to_string());
  info.capacity = network.pool().size();
  for (const auto& lease : network.pool().list()) info.leases.push_back(lease_of(lease));
  return info;
}

void Network::up() const {
  const auto& impl = *Access::impl(host_);
  std::optional<core::Anchor> anchor;
  if (!core::may_configure_network()) anchor.emplace(core::Anchor::ensure(impl));
  core::where_network_is(impl, [](core::NatNetwork& network) {
    const auto turn = network.take_turn();
    network.ensure();
    network.reclaim();
  });
  if (!anchor) return;
  const core::NatNetwork network{impl};
  const auto turn = network.take_turn();
  core::ensure_gateway(impl, network.policy(), &*anchor);
}

bool Network::down() const {
  const auto& impl = *Access::impl(host_);
  if (core::may_configure_network()) {
    core::NatNetwork network{impl};
    const auto turn = network.take_turn();
    network.reclaim();
    return network.remove();
  }
  const auto anchor = core::Anchor::find(impl);
  core::reclaim_leases(impl);
  // A gateway outlives the anchor whose machines it served.
  if (!anchor) return core::end_gateway(impl, gateway::Place::Anchor);
  core::where_network_is(impl, [](core::NatNetwork& network) {
    const auto turn = network.take_turn();
    network.remove();
  });
  anchor->end();
  return true;
}

NetworkChoice Network::best_mode() const {
  const auto& impl = *Access::impl(host_);
  std::vector<NetworkObstacle> obstacles;
  if (core::may_configure_network()) {
    core::NatNetwork network{impl};
    obstacles = core::find_obstacles(network);
  } else if (!core::Anchor::find(impl)) {
    obstacles = core::find_anchor_obstacles(impl);
  }
  if (obstacles.empty()) return {NetworkMode::Nat, {}};
  const auto& first = obstacles.front();
  return {NetworkMode::None, fmt::format("no network \"nat\": {}; {}", first.problem, first.remedy)};
}

}  // namespace fireclaw
