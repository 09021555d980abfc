#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/host/impl.hpp"
#include "gateway/records/files.hpp"
#include "net/policy.hpp"
#include "state/settings/config.hpp"
#include "sys/fd.hpp"
#include "sys/file.hpp"
#include "sys/process.hpp"

namespace fireclaw::core {

class Anchor;

/// The gateway that runs, as gateway.json tells. What it is to serve, it may not serve yet.
struct GatewayRecord {
  sys::ProcessId process;
  /// "172.16.0.1:11434", where agents ask LLMs; empty: nowhere.
  std::string address;
  /// "172.16.0.1:6667", where they find IRC; empty: nowhere.
  std::string irc_address;
  /// It is to answer for names.
  bool names = false;
  /// It is to be an HTTP proxy.
  bool http = false;
  /// The network namespace that this address is of: the kernel's number.
  std::uint64_t network = 0;

  bool operator==(const GatewayRecord&) const = default;
};

/// The one that lives. Error(Corrupt).
std::optional<GatewayRecord> find_gateway(const Host::Impl& host, gateway::Place place);
/// Which one machines use that this process starts.
gateway::Place gateway_place();

/// What it serves at the gateway's address.
struct GatewayPorts {
  std::optional<std::uint16_t> llm;
  std::optional<std::uint16_t> irc;
  /// At state::names_port.
  bool names = false;
  /// At state::http_port.
  bool http = false;

  [[nodiscard]] bool any() const { return llm || irc || names || http; }
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

/// Sockets at the gateway's address; those for names come together.
struct GatewaySockets {
  std::optional<sys::Fd> llm;
  std::optional<sys::Fd> irc;
  std::optional<sys::Fd> names_udp;
  std::optional<sys::Fd> names_tcp;
  std::optional<sys::Fd> http;
  /// Why there are no others, one line each.
  std::vector<std::string> problems;
};
/// The address is one of the anchor's network namespace, else of the calling thread's. A port that cannot be had is a
/// problem of its own.
GatewaySockets bind_ports(const Host::Impl& host, net::Ipv4Address address, const GatewayPorts& ports,
                          const Anchor* anchor = nullptr);

/// What a gateway is started with, as descriptors with these numbers. /dev/null stands for one that there is not.
struct GatewayParts {
  static constexpr int llm_number = 3;
  static constexpr int lock_number = 4;
  static constexpr int status_number = 5;
  static constexpr int irc_number = 6;
  static constexpr int names_udp_number = 10;
  static constexpr int names_tcp_number = 11;
  static constexpr int http_number = 12;

  /// Is held for as long as the gateway lives.
  sys::Fd lock;
  /// Listens for who asks how it is.
  sys::Fd status;
  GatewaySockets sockets;

  /// Those that this process was started with.
  static GatewayParts inherited();
  /// Without sockets at the gateway's address. Error(AlreadyExists) if a gateway runs already.
  static GatewayParts make(const Host::Impl& host, gateway::Place place);
};

/// Starts the gateway if config.json asks for one and none runs where it says; ends one that is somewhere else. With
/// the network's turn taken. The gateway asks others from the calling thread's network namespace, and listens
/// there too unless the machines' network is an anchor's. What stands in the way is logged: machines can do without an
/// LLM.
void ensure_gateway(const Host::Impl& host, const net::NetworkPolicy& policy, const Anchor* anchor = nullptr) noexcept;
/// Whether a machine that lives has an address, so that a gateway is needed.
bool has_machines(const Host::Impl& host);
/// For the gateway itself, which would keep its network namespace as long as it lives: true if there are no machines,
/// and ensure_gateway() has not found it for `patience`. Then gateway.json is gone, and the next machine starts
/// another.
bool retire_gateway(const Host::Impl& host, gateway::Place place, std::chrono::seconds patience);
/// False if none ran. The host's is left alone where it serves another network namespace than the calling thread's.
bool end_gateway(const Host::Impl& host, gateway::Place place);
/// Sets a log aside, once it is long, that is this process's standard error.
void keep_log_short(const std::filesystem::path& file);

}  // namespace fireclaw::core
