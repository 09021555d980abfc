#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <string>

#include "net/address.hpp"
#include "net/interface_name.hpp"
#include "net/links/netlink.hpp"

namespace fireclaw::net {

/// The bridge that the machines' taps are ports of. Its own address is the gateway.
struct BridgeConfig {
  InterfaceName name{"fcbr0"};
  Ipv4Network subnet{Ipv4Address::from_bits(0xAC100000), 24};
  Ipv4Address gateway = Ipv4Address::from_bits(0xAC100001);
  /// nullopt: the MTU of the way out.
  std::optional<unsigned> mtu = std::nullopt;
  /// Its owner (the home folder), so that two of them never hand out the same addresses on one bridge.
  std::string owner;
  /// Turn on the host's IPv4 forwarding, without which machines reach the gateway only.
  bool forwarding = true;

  bool operator==(const BridgeConfig&) const = default;
};

/// Why ensure_bridge() would fail, or nullopt: an interface in the way, a subnet that is in use elsewhere.
/// Changes nothing.
std::optional<std::string> find_bridge_obstacle(const BridgeConfig& config);

/// The MTU for a bridge whose machines use the default route: its interface's, 1500 at most.
unsigned way_out_mtu(const Surroundings& around);

/// Whether the bridge is there and up.
bool is_bridge_up(const BridgeConfig& config);

/// Why a subnet cannot be used here: "172.16.0.0/24 overlaps the route to 172.16.0.0/12 on eth0".
std::optional<std::string> find_subnet_conflict(const Surroundings& around, const BridgeConfig& config);

/// The lock file for changes of the bridge, beside `record`. It stays there from the first change on.
std::filesystem::path bridge_lock(const std::filesystem::path& record);

/// Makes sure that the bridge is there, up, and as configured; creates it if need be. Cheap when it is (no change is
/// made then). Safe to call from several processes at once. Acts on the calling thread's network namespace. What it
/// changes in settings that outlive the bridge (net.ipv4.ip_forward) is recorded in `record`, its own file, before it
/// is changed. Error(InvalidState) if the subnet is in use elsewhere, or an interface of that name exists that is not a
/// bridge, is not fireclaw's, or has another owner or address: each names what is in the way and what to do.
void ensure_bridge(const BridgeConfig& config, const std::filesystem::path& record);

/// Removes the bridge and puts back what `record` says. False if there was neither. Error(InvalidState) while machines
/// are attached, or if the bridge has another owner.
bool remove_bridge(const BridgeConfig& config, const std::filesystem::path& record);

/// Makes an existing interface a closed port for the machine with `address` and brings it up: isolated, nothing
/// learned, nothing flooded; the bridge and the host are told once and for all where the address is, so that no
/// broadcast is ever needed to find it. Idempotent. Returns once the port and the bridge carry packets, if the
/// port's other end is there already.
void attach_port(const BridgeConfig& config, const InterfaceName& port, Ipv4Address address);
/// Makes the kernel notice at once that the port and the bridge have a carrier: by itself it can take a second, and
/// drop packets until then. For ports whose other end came after attach_port().
void settle_port(const BridgeConfig& config, const InterfaceName& port);
/// Removes the bridge's taps except those in `keep`: a machine that has ended can have a tap until its engine is gone.
void remove_ports(const BridgeConfig& config, std::span<const InterfaceName> keep);
/// Undoes what attach_port() did for the address. The rest ends with the port.
void forget_neighbour(const BridgeConfig& config, Ipv4Address address);
/// Undoes what attach_port() did to the bridge, also when the interface is gone already.
void detach_port(const BridgeConfig& config, const InterfaceName& port, Ipv4Address address);

/// Lets packets between machines and the host's 127.0.0.1 pass the bridge (route_localnet): for ports published there
/// and services that listen there. The firewall must be loaded: it drops what machines send to 127.0.0.0/8 directly.
void allow_loopback(const BridgeConfig& config);

}  // namespace fireclaw::net
