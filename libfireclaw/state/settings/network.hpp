#pragma once

#include <optional>
#include <vector>

#include "json/json.hpp"
#include "net/address.hpp"
#include "net/interface_name.hpp"
#include "net/policy.hpp"

namespace fireclaw::state {

/// The section "network" of config.json: what the user wants otherwise than net::NetworkPolicy has it.
struct NetworkSettings {
  std::optional<net::InterfaceName> bridge;
  std::optional<net::Ipv4Network> subnet;
  /// Without, and with a subnet: the subnet's first address.
  std::optional<net::Ipv4Address> gateway;
  std::optional<std::vector<net::Service>> services;
  std::optional<net::Ipv4Address> resolver;
  std::optional<unsigned> new_connections_per_second;
  std::optional<unsigned> connections;

  bool operator==(const NetworkSettings&) const = default;
};

/// Error(Corrupt) naming the field if one of them cannot be, or contradicts another.
NetworkSettings read_network_settings(const json::Value& section);
/// The member "network" of the object being written, or nothing if nothing was set.
void write_network_settings(json::Writer& out, const NetworkSettings& settings);

/// The defaults with the settings put over them. A name server that is reached by UDP is reached by TCP too: large
/// answers come by it.
net::NetworkPolicy make_network_policy(const NetworkSettings& settings);

}  // namespace fireclaw::state
