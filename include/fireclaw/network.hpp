#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "fireclaw/export.hpp"

namespace fireclaw {

/// What a machine's network device is connected to.
enum class NetworkMode {
  None,  ///< there is no network device
  User,  ///< QEMU's user-mode network: outgoing connections, also to the host's own network, without any policy
  Nat,   ///< an address on a bridge behind a firewall: on the host with CAP_NET_ADMIN, else in a
         ///< network namespace
};

/// "none", "user", "nat".
FIRECLAW_API std::string_view to_string(NetworkMode mode) noexcept;
/// Parses what to_string() returns. Error(InvalidArgument) for any other.
FIRECLAW_API NetworkMode network_mode_from_string(std::string_view text);

/// Where a machine with NetworkMode::Nat may connect to outside the host.
enum class Egress {
  None,       ///< nowhere
  Allowlist,  ///< only NatOptions::allow
  Internet,   ///< public addresses, and NatOptions::allow; private networks are not part of the internet
};

/// "none", "allowlist", "internet".
FIRECLAW_API std::string_view to_string(Egress egress) noexcept;
/// Parses what to_string() returns. Error(InvalidArgument) for any other.
FIRECLAW_API Egress egress_from_string(std::string_view text);

/// Which of the gateway's services (NetworkInfo::services) a machine with NetworkMode::Nat can use.
enum class GatewayServices {
  None,   ///< none
  Names,  ///< the name server
  All,    ///< all, as agents do: IRC, LLM, names
};

/// "none", "names", "all".
FIRECLAW_API std::string_view to_string(GatewayServices services) noexcept;
/// Parses what to_string() returns. Error(InvalidArgument) for any other.
FIRECLAW_API GatewayServices gateway_services_from_string(std::string_view text);

/// What a machine with NetworkMode::Nat can reach. Machines never reach each other, other ports of the host, or
/// link-local addresses such as the clouds' metadata services. They have no IPv6.
struct NatOptions {
  /// Where it may connect to outside the host.
  Egress egress = Egress::Internet;
  /// Destinations outside, in addition to `egress`: "10.0.0.0/8", "192.0.2.7", "192.0.2.7:443", "192.0.2.7:53/udp",
  /// "example.org", "*.example.org:443". Without a port: all ports; without "/tcp" or "/udp": both. A host name opens
  /// the public addresses that the gateway answers when the machine asks for that name. If the machine cannot use the
  /// gateway's name server, the name is resolved once, at its start. Refused with Egress::None.
  std::vector<std::string> allow;
  /// Ports to publish, as HOST:MACHINE: "8080:80", "0.0.0.0:8080:80", "5353:53/udp". Without an address: on
  /// 127.0.0.1; with 0.0.0.0: on all addresses of the host. A port that a program of the host listens on is
  /// refused.
  std::vector<std::string> publish;
  /// Which services of the gateway it can use.
  GatewayServices services = GatewayServices::Names;
  /// Limit in MiB per second; sent and received bytes count together. Up to 1048576; what exceeds it is dropped. 0:
  /// limits.network_mib_per_second of config.json; without it, unlimited.
  unsigned mib_per_second = 0;
  /// Web servers that the gateway's HTTP proxy connects it to, in addition to `egress`: "example.org",
  /// "*.example.org", "example.org:8443". Without a port: 80 and 443. Its commands and services find the proxy in
  /// HTTP_PROXY, HTTPS_PROXY and NO_PROXY. Refused with GatewayServices::None.
  std::vector<std::string> allow_http = {};

  /// Equal in all members.
  bool operator==(const NatOptions&) const = default;
};

/// Something that prevents NetworkMode::Nat.
struct NetworkObstacle {
  /// The problem, one line.
  std::string problem;
  /// The command or setting that mends it.
  std::string remedy;

  /// Equal in both members.
  bool operator==(const NetworkObstacle&) const = default;
};

/// An address on loan to a machine.
struct NetworkLease {
  /// IPv4, as in "172.16.0.2".
  std::string address;
  /// The machine's hardware address, as in "02:fc:ac:10:00:02".
  std::string mac;
  /// The machine's interface on the host.
  std::string tap;
  /// The machine's VMInfo::id.
  std::string vm;
  /// The process whose end ends the lease: the machine's owner, or the engine of a detached machine.
  std::int64_t holder_pid = 0;
  /// Whether that process lives. If not, the next machine's start, or Host::collect_garbage(), takes the lease back.
  bool alive = false;

  /// Equal in all members.
  bool operator==(const NetworkLease&) const = default;
};

/// The network that machines with NetworkMode::Nat share, as section "network" of config.json sets it.
struct NetworkInfo {
  /// What prevents its use here; empty if nothing does.
  std::vector<NetworkObstacle> obstacles;
  /// Firewall rules of others that block what the machines' policy allows, each with the command that mends it. Empty
  /// if this process may not read the host's rules.
  std::vector<NetworkObstacle> foreign_rules;
  /// Whether the bridge exists and is up.
  bool up = false;
  /// The interface's name.
  std::string bridge;
  /// "172.16.0.0/24"
  std::string subnet;
  /// The host's address on the bridge: the machines' gateway and name server.
  std::string gateway;
  /// The servers that the gateway's name server asks; empty: the name servers of this host.
  std::string resolver;
  /// The gateway's ports that machines may use: "6667/tcp", "127.0.0.1:11434/tcp" (served on the host's loopback).
  std::vector<std::string> services;
  /// How many machines can have an address at once.
  std::size_t capacity = 0;
  /// The addresses on loan, in order.
  std::vector<NetworkLease> leases;
};

/// The best network mode that works here.
struct NetworkChoice {
  /// The mode.
  NetworkMode mode = NetworkMode::None;
  /// Why there is no better one, one line; empty for NetworkMode::Nat.
  std::string reason;
};

/// Something that was refused to a machine with NetworkMode::Nat.
struct NetworkRefusal {
  /// When it was refused.
  std::chrono::system_clock::time_point time;
  /// The machine's id.
  std::string vm;
  /// The machine's name; empty if it has only its id.
  std::string vm_name;
  /// The agent that the machine was started for; empty: none.
  std::string agent;
  /// Which part refused: "firewall", "names", "llm", "irc" or "proxy".
  std::string by;
  /// "tcp", "udp", "icmp", "arp"; empty if it does not apply; likewise the next three.
  std::string protocol;
  /// IPv4, as in "203.0.113.7".
  std::string address;
  /// 0: none.
  std::uint16_t port = 0;
  /// The host name, if it is known.
  std::string name;
  /// The rule in one word, as in "allowlist".
  std::string rule;
  /// The rule in words, one line.
  std::string reason;
  /// How many earlier refusals of this machine were left out of the log: repeated within a minute, or too many at
  /// once.
  std::uint64_t unwritten = 0;

  /// Equal in all members.
  bool operator==(const NetworkRefusal&) const = default;
};

}  // namespace fireclaw
