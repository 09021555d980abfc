#include "fireclaw/network.hpp"

#include <utility>

#include <fmt/format.h>

#include "core/networks/nat.hpp"
#include "fireclaw/error.hpp"
#include "fireclaw/host.hpp"
#include "sys/process.hpp"

namespace fireclaw {
namespace {

NetworkLease describe(const net::Lease& lease) {
  return {lease.address.to_string(), lease.mac().to_string(),    lease.tap.str(), lease.run,
          lease.holder.pid,          sys::is_alive(lease.holder)};
}

}  // namespace

NetworkInfo Network::info(const Host& host) {
  core::NatNetwork network{*Access::impl(host)};
  const auto& policy = network.policy();
  NetworkInfo info;
  info.obstacles = core::find_obstacles(network);
  info.up = net::is_bridge_up(network.bridge());
  info.bridge = policy.bridge.str();
  info.subnet = policy.subnet.to_string();
  info.gateway = policy.gateway.to_string();
  if (policy.resolver) info.resolver = policy.resolver->to_string();
  for (const auto& service : policy.services) info.services.push_back(service.to_string());
  info.capacity = network.pool().size();
  for (const auto& lease : network.pool().list()) info.leases.push_back(describe(lease));
  return info;
}

void Network::up(const Host& host) {
  core::NatNetwork network{*Access::impl(host)};
  const auto turn = network.take_turn();
  network.ensure();
  network.reclaim();
}

bool Network::down(const Host& host) {
  core::NatNetwork network{*Access::impl(host)};
  const auto turn = network.take_turn();
  network.reclaim();
  return network.remove();
}

NetworkChoice Network::best_mode(const Host& host) {
  const auto& impl = *Access::impl(host);
  core::NatNetwork network{impl};
  const auto obstacles = core::find_obstacles(network);
  if (obstacles.empty()) return {NetworkMode::Nat, {}};
  const auto& first = obstacles.front();
  return {NetworkMode::None, fmt::format("no network \"nat\": {}; {}", first.problem, first.remedy)};
}

}  // namespace fireclaw
