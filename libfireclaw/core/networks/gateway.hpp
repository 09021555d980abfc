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

/// The running gateway, as gateway.json describes it. It may not serve all of this yet.
struct GatewayRecord {
  sys::ProcessId process;
  /// "172.16.0.1:11434", where agents ask LLMs; empty: nowhere.
  std::string address;
  /// "172.16.0.1:6667", where they find IRC; empty: nowhere.
  std::string irc_address;
  /// Whether it is to answer for names.
  bool names = false;
  /// Whether it is to be an HTTP proxy.
  bool http = false;
  /// The network namespace that this address is of: the kernel's number.
  std::uint64_t network = 0;

  bool operator==(const GatewayRecord&) const = default;
};

/// The living one. Error(Corrupt).
std::optional<GatewayRecord> find_gateway(const Host::Impl& host, gateway::Place place);
/// The network of machines that this process starts.
gateway::Place gateway_place();

/// The ports that it serves at the gateway's address.
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

/// Records a process as the gateway, at an address of the anchor's network namespace, else of the calling thread's.
void put_gateway(const Host::Impl& host, const sys::ProcessId& process, net::Ipv4Address address,
                 const GatewayPorts& ports, const Anchor* anchor = nullptr);

/// Where it serves IRC; empty if it does not.
std::string irc_address(net::Ipv4Address gateway, const GatewayPorts& ports);

/// The ports that config.json asks for.
GatewayPorts gateway_ports(const state::Config& config);
/// Opens the gateway's ports to machines in the firewall's policy, and removes the services that it replaces: servers
/// that machines would reach themselves, a name server on this host's loopback.
void open_gateway(net::NetworkPolicy& policy, const state::Config& config);
/// The name server that it asks: the one that config.json names, or the one on the loopback among the services.
/// nullopt: those of this host's resolv.conf.
std::optional<net::Ipv4Address> name_server_of(const state::Config& config);

/// Sockets at the gateway's address; those for names come together.
struct GatewaySockets {
  std::optional<sys::Fd> llm;
  std::optional<sys::Fd> irc;
  std::optional<sys::Fd> names_udp;
  std::optional<sys::Fd> names_tcp;
  std::optional<sys::Fd> http;
  /// Why others are missing, one line each.
  std::vector<std::string> problems;
};
/// The address is one of the anchor's network namespace, else of the calling thread's. Each port that is taken is one
/// problem.
GatewaySockets bind_ports(const Host::Impl& host, net::Ipv4Address address, const GatewayPorts& ports,
                          const Anchor* anchor = nullptr);

/// The descriptors that a gateway is started with, with these numbers. /dev/null stands for a missing one.
struct GatewayParts {
  static constexpr int llm_number = 3;
  static constexpr int lock_number = 4;
  static constexpr int status_number = 5;
  static constexpr int irc_number = 6;
  static constexpr int names_udp_number = 10;
  static constexpr int names_tcp_number = 11;
  static constexpr int http_number = 12;

  /// Held as long as the gateway lives.
  sys::Fd lock;
  /// Listens for questions about its status.
  sys::Fd status;
  GatewaySockets sockets;

  /// Those that this process was started with.
  static GatewayParts inherited();
  /// Without sockets at the gateway's address. Error(AlreadyExists) if a gateway runs already.
  static GatewayParts make(const Host::Impl& host, gateway::Place place);
};

/// Starts the gateway if config.json asks for one and none runs at its address; ends one at another address. Call with
/// the network's turn taken. The gateway asks servers from the calling thread's network namespace, and listens
/// there too unless the machines' network is an anchor's. Obstacles are logged, since machines work without an
/// LLM.
void ensure_gateway(const Host::Impl& host, const net::NetworkPolicy& policy, const Anchor* anchor = nullptr) noexcept;
/// Whether a living machine has an address, so that a gateway is needed.
bool has_machines(const Host::Impl& host);
/// For the gateway itself, which keeps its network namespace as long as it lives: true if there are no machines, and
/// ensure_gateway() has not found it for `patience`. Then gateway.json is removed, and the next machine starts
/// another.
bool retire_gateway(const Host::Impl& host, gateway::Place place, std::chrono::seconds patience);
/// False if none ran. The host's is left alone where it serves another network namespace than the calling thread's.
bool end_gateway(const Host::Impl& host, gateway::Place place);
/// Sets the log that is this process's standard error aside once it is long.
void keep_log_short(const std::filesystem::path& file);

}  // namespace fireclaw::core
