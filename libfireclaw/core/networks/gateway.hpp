#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/host/impl.hpp"
#include "net/policy.hpp"
#include "state/config.hpp"
#include "sys/fd.hpp"
#include "sys/file.hpp"
#include "sys/process.hpp"

namespace fireclaw::core {

class Anchor;

/// The gateway that runs, as gateway.json tells.
struct GatewayRecord {
  sys::ProcessId process;
  /// "172.16.0.1:11434", where agents ask LLMs; empty: nowhere.
  std::string address;
  /// "172.16.0.1:6667", where they find IRC; empty: nowhere.
  std::string irc_address;
  /// It answers for names.
  bool names = false;
  /// The network namespace that this address is of: the kernel's number.
  std::uint64_t network = 0;

  bool operator==(const GatewayRecord&) const = default;
};

/// Where the gateway's program answers for names, at the gateway's address; machines ask at port 53.
inline constexpr std::uint16_t names_port = 10053;

/// The one that lives. Error(Corrupt).
std::optional<GatewayRecord> find_gateway(const Host::Impl& host);

/// What it serves at the gateway's address.
struct GatewayPorts {
  std::optional<std::uint16_t> llm;
  std::optional<std::uint16_t> irc;
  /// At names_port.
  bool names = false;

  [[nodiscard]] bool any() const { return llm || irc || names; }
  [[nodiscard]] bool have(const net::Service& service) const;
  bool operator==(const GatewayPorts&) const = default;
};

/// Says that a process is it, at an address of the anchor's network namespace, else of the calling thread's.
void put_gateway(const Host::Impl& host, const sys::ProcessId& process, net::Ipv4Address address,
                 const GatewayPorts& ports, const Anchor* anchor = nullptr);

/// Where it serves IRC; empty if it does not.
std::string irc_address(net::Ipv4Address gateway, const GatewayPorts& ports);

/// What config.json wants of it.
GatewayPorts gateway_ports(const state::Config& config);
/// The firewall's policy with the gateway's ports open to machines, and without what it serves for them: servers that
/// they would reach themselves, a name server on this host's loopback.
void open_gateway(net::NetworkPolicy& policy, const state::Config& config);
/// The name server that it asks: the one that config.json names, or the one on the loopback that it leads to. Without:
/// those of this host's resolv.conf.
std::optional<net::Ipv4Address> name_server_of(const state::Config& config);

/// What a gateway is started with, as descriptors with these numbers. /dev/null stands for one that it does not need.
struct GatewayParts {
  static constexpr int llm_number = 3;
  static constexpr int lock_number = 4;
  static constexpr int status_number = 5;
  static constexpr int irc_number = 6;
  static constexpr int names_udp_number = 10;
  static constexpr int names_tcp_number = 11;

  /// Is held for as long as the gateway lives.
  sys::Fd lock;
  /// Listens for who asks how it is.
  sys::Fd status;
  /// Listen at the gateway's address.
  std::optional<sys::Fd> llm;
  std::optional<sys::Fd> irc;
  /// The name server's; the second listens.
  std::optional<sys::Fd> names_udp;
  std::optional<sys::Fd> names_tcp;

  /// Those that this process was started with.
  static GatewayParts inherited();
};
/// The address is one of the anchor's network namespace, else of the calling thread's. Error(AlreadyExists) if a
/// gateway runs already, or a port is taken.
GatewayParts make_gateway_parts(const Host::Impl& host, net::Ipv4Address address, const GatewayPorts& ports,
                                const Anchor* anchor = nullptr);

/// Starts the gateway if config.json asks for one and none runs where it says; ends one that is somewhere else. With
/// the network's turn taken. The gateway asks others from the calling thread's network namespace, and listens
/// there too unless the machines' network is an anchor's. What stands in the way is logged: machines can do without an
/// LLM.
void ensure_gateway(const Host::Impl& host, const net::NetworkPolicy& policy, const Anchor* anchor = nullptr) noexcept;
/// False if none ran.
bool end_gateway(const Host::Impl& host);

}  // namespace fireclaw::core
