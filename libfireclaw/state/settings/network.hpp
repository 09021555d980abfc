#pragma once

#include <optional>
#include <vector>

#include "json/json.hpp"
#include "net/address.hpp"
#include "net/interface_name.hpp"
#include "net/policy.hpp"

namespace fireclaw::state {

/// The section "network" of config.json: it overrides the defaults of net::NetworkPolicy.
struct NetworkSettings {
  std::optional<net::InterfaceName> bridge;
  std::optional<net::Ipv4Network> subnet;
  /// nullopt: the subnet's first address, if a subnet is set.
  std::optional<net::Ipv4Address> gateway;
  std::optional<std::vector<net::Service>> services;
  std::optional<net::Ipv4Address> resolver;
  std::optional<unsigned> new_connections_per_second;
  std::optional<unsigned> connections;

  bool operator==(const NetworkSettings&) const = default;
};

/// Error(Corrupt) naming a field that is invalid, or contradicts another one.
NetworkSettings read_network_settings(const json::Value& section);
/// The member "network" of the object being written, or nothing if nothing was set.
void write_network_settings(json::Writer& out, const NetworkSettings& settings);

/// The defaults with the settings put over them. A name server that is reached by UDP is reached by TCP too: large
/// answers come by it.
net::NetworkPolicy make_network_policy(const NetworkSettings& settings);

}  // namespace fireclaw::state
