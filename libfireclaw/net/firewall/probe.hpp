#pragma once

#include <string>
#include <vector>

namespace fireclaw::net {

/// Something that prevents the network.
struct Obstacle {
  std::string problem;
  /// What mends it.
  std::string remedy;

  bool operator==(const Obstacle&) const = default;
};

/// Whether this process could set up bridge, taps and firewall in the calling thread's network namespace.
struct NetworkAbility {
  std::vector<Obstacle> obstacles;

  [[nodiscard]] bool ok() const { return obstacles.empty(); }
};

/// Finds out without changing anything: the capability, /dev/net/tun, nftables.
NetworkAbility can_manage_network();

}  // namespace fireclaw::net
