#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net/address.hpp"
#include "net/interface_name.hpp"

namespace fireclaw::net {

enum class Protocol { Tcp, Udp };
std::string_view to_string(Protocol protocol) noexcept;

/// Where a machine may connect to outside the host.
enum class Egress {
  None,       ///< nowhere
  Allowlist,  ///< only VmPolicy::allow
  Internet,   ///< public addresses, and VmPolicy::allow; private networks are not part of the internet
};
std::string_view to_string(Egress egress) noexcept;
/// "none", "allowlist", "internet"; Error(InvalidArgument) otherwise.
Egress parse_egress(std::string_view text);

/// A port of the gateway that machines may use.
struct Service {
  Protocol protocol = Protocol::Tcp;
  std::uint16_t port = 0;
  /// Served by a program that listens on the host's 127.0.0.1 only; see allow_loopback() in bridge.hpp.
  bool on_loopback = false;

  /// "6667", "6667/tcp", "53/udp", "127.0.0.1:11434" (on_loopback).
  static Service parse(std::string_view text);
  [[nodiscard]] std::string to_string() const;
  auto operator<=>(const Service&) const = default;
};

/// Somewhere outside that a machine is allowed to reach.
struct Destination {
  Ipv4Network network{Ipv4Address{}, 0};
  /// Without: every port of every protocol.
  std::optional<std::uint16_t> port;
  /// Without: TCP and UDP. Only together with a port.
  std::optional<Protocol> protocol;

  /// "10.0.0.0/8", "192.0.2.7", "192.0.2.7:443", "192.0.2.0/24:53/udp". Host names are resolved by the caller.
  static Destination parse(std::string_view text);
  [[nodiscard]] std::string to_string() const;
  auto operator<=>(const Destination&) const = default;
};

/// A port of the host that leads to a port of a machine.
struct Publication {
  /// The host's address it is offered on; without: all of them.
  std::optional<Ipv4Address> host_address;
  std::uint16_t host_port = 0;
  std::uint16_t guest_port = 0;
  Protocol protocol = Protocol::Tcp;

  /// "8080:80", "127.0.0.1:8080:80", "5353:53/udp".
  static Publication parse(std::string_view text);
  [[nodiscard]] std::string to_string() const;
  auto operator<=>(const Publication&) const = default;
};

/// What one machine may do, and how it is recognised.
struct VmPolicy {
  InterfaceName tap;
  MacAddress mac;
  Ipv4Address address;
  Egress egress = Egress::None;
  std::vector<Destination> allow;
  /// May use the gateway's services.
  bool services = true;
  std::vector<Publication> publish;

  bool operator==(const VmPolicy&) const = default;
};

/// What holds for every machine on a bridge.
struct NetworkPolicy {
  InterfaceName bridge{"fcbr0"};
  Ipv4Network subnet{Ipv4Address::from_bits(0xAC100000), 24};
  Ipv4Address gateway = Ipv4Address::from_bits(0xAC100001);
  /// IRC, IRC with TLS, Ollama, DNS.
  std::vector<Service> services{{Protocol::Tcp, 6667, false},
                                {Protocol::Tcp, 6697, false},
                                {Protocol::Tcp, 11434, false},
                                {Protocol::Tcp, 53, false},
                                {Protocol::Udp, 53, false}};
  /// The gateway answers pings.
  bool ping = true;
  /// The name server that queries to the gateway's port 53 are passed on to, if 53 is among the services. Without: the
  /// host must run one there itself. Must be reachable from outside the host: not a stub such as 127.0.0.53.
  std::optional<Ipv4Address> resolver;
  /// New connections that one machine may make in a second; more are dropped. Without: no limit.
  std::optional<unsigned> new_connections_per_second;

  bool operator==(const NetworkPolicy&) const = default;
};

}  // namespace fireclaw::net
