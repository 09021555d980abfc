#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fireclaw/error.hpp"
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

/// Which of the gateway's services a machine may use.
enum class ServiceAccess {
  None,   ///< nothing
  Names,  ///< the name server: port 53
  All,    ///< every service of the policy
};
std::string_view to_string(ServiceAccess access) noexcept;

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

/// A destination outside that a machine is allowed to reach.
struct Destination {
  Ipv4Network network{Ipv4Address{}, 0};
  /// nullopt: every port of every protocol.
  std::optional<std::uint16_t> port;
  /// nullopt: TCP and UDP. Only together with a port.
  std::optional<Protocol> protocol;

  /// "10.0.0.0/8", "192.0.2.7", "192.0.2.7:443", "192.0.2.0/24:53/udp". Host names are resolved by the caller.
  static Destination parse(std::string_view text);
  [[nodiscard]] std::string to_string() const;
  auto operator<=>(const Destination&) const = default;
};

inline constexpr Ipv4Address loopback_address = Ipv4Address::from_bits(0x7F000001);

/// A port of the host that is published for a port of a machine.
struct Publication {
  /// The host's address it is offered on; 0.0.0.0: all of them.
  Ipv4Address host_address = loopback_address;
  std::uint16_t host_port = 0;
  std::uint16_t guest_port = 0;
  Protocol protocol = Protocol::Tcp;

  /// "8080:80" (on 127.0.0.1), "0.0.0.0:8080:80", "192.0.2.7:8080:80", "5353:53/udp".
  static Publication parse(std::string_view text);
  [[nodiscard]] std::string to_string() const;
  /// Error(AlreadyExists): the machine with address `owner` has that port of the host.
  [[nodiscard]] Error taken_by(std::string_view owner) const;
  auto operator<=>(const Publication&) const = default;
};

/// Whether the address belongs to the internet: not to a private network, link-local, loopback, a cloud's metadata
/// service, multicast or anything reserved.
bool is_public(Ipv4Address address);
/// Networks that a machine can never reach, even with an allowlist.
const std::vector<Ipv4Network>& never_reachable();
/// Not part of the internet, and reachable only if they are allowed by address.
const std::vector<Ipv4Network>& private_networks();

/// A rule by which the firewall refuses packets.
struct RefusalRule {
  /// One word, for logs.
  std::string_view name;
  /// The machine is told at once. Otherwise it waits in vain.
  bool answered;
  /// For people.
  std::string_view reason;
};
inline constexpr std::string_view spoofed_rule = "spoofed";
inline constexpr RefusalRule refusal_rules[] = {
    {"egress", true, "the machine reaches nothing outside"},
    {"allowlist", true, "it is not on the machine's list"},
    {"private", true, "private networks are reached only if they are allowed by address"},
    {"service", true, "the gateway does not serve this to the machine"},
    {"machine", false, "machines do not reach each other"},
    {"reserved", false, "link-local, metadata and reserved addresses are never reached"},
    {"host", false, "addresses of this host are not reached"},
    {"rate", false, "too many new connections in a second"},
    {"connections", false, "too many connections at once"},
    {spoofed_rule, false, "the packet does not come from the machine's own address"},
};

/// What one machine may do, and how it is recognised.
struct VmPolicy {
  InterfaceName tap;
  MacAddress mac;
  Ipv4Address address;
  Egress egress = Egress::None;
  std::vector<Destination> allow;
  ServiceAccess services = ServiceAccess::Names;
  std::vector<Publication> publish;
  /// The most MiB that it sends and receives together in a second; more is dropped. 0: no limit.
  unsigned mib_per_second = 0;

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
  /// The port at the gateway's address where a program of the host answers what is sent to port 53, if 53 is among the
  /// services. So a name server that the host has at port 53 is in nobody's way. Without: it is 53 itself.
  std::optional<std::uint16_t> names_port;
  /// The port at the gateway's address where a program of the host is an HTTP proxy, for machines that may use the name
  /// server. Without: there is none.
  std::optional<std::uint16_t> http_port;
  /// Addresses of the host that are not addresses of the bridge's network namespace; never reachable.
  std::vector<Ipv4Address> host_addresses;
  /// New connections that one machine may make in a second, and connections that it may have at once, those that the
  /// kernel still remembers included; more are dropped.
  unsigned new_connections_per_second = 200;
  unsigned connections = 4096;
  /// The firewall tells what it refuses: see packet_log.hpp.
  bool log_refusals = true;

  bool operator==(const NetworkPolicy&) const = default;
};

}  // namespace fireclaw::net
