#pragma once

#include <string>
#include <vector>

namespace fireclaw::net {

/// Whether this process could set up bridge, taps and firewall in the calling thread's network namespace.
struct NetworkAbility {
  /// What stands in the way, each with its remedy; empty if nothing does.
  std::vector<std::string> obstacles;

  [[nodiscard]] bool ok() const { return obstacles.empty(); }
};

/// Finds out without changing anything: the capability, /dev/net/tun, nftables.
NetworkAbility can_manage_network();

}  // namespace fireclaw::net
