#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/host/impl.hpp"
#include "fireclaw/network.hpp"
#include "net/firewall/firewall.hpp"
#include "net/links/bridge.hpp"
#include "net/policy.hpp"
#include "net/pool.hpp"
#include "state/records/runs.hpp"
#include "state/settings/config.hpp"
#include "sys/file.hpp"

namespace fireclaw::core {

/// Where the network of a home folder is, seen from who uses a NatNetwork.
struct NatPlace {
  enum class Kind {
    Here,      ///< in the network namespace of the calling thread
    Anchored,  ///< the same, and that is an anchor's: see anchor.hpp
    Nowhere,   ///< its anchor has ended: nothing is left of it but leases
  };
  Kind kind = Kind::Here;
  /// Anchored: who keeps it, and the addresses of the host that it is not to reach.
  std::optional<sys::ProcessId> anchor = std::nullopt;
  std::vector<net::Ipv4Address> host_addresses = {};
};

/// The network that a home folder's machines share: bridge, firewall and address pool, as config.json has them. Making
/// one only reads that; everything acts on the network namespace of the calling thread.
///
/// What changes who has an address is done with the turn taken, so that no address is given away while what an earlier
/// holder left is still being removed. Refers to the host; use from one thread at a time.
class NatNetwork {
 public:
  explicit NatNetwork(const Host::Impl& host);
  NatNetwork(const Host::Impl& host, NatPlace place, Logger logger);

  [[nodiscard]] const net::BridgeConfig& bridge() const { return bridge_; }
  [[nodiscard]] const net::NetworkPolicy& policy() const { return policy_; }
  /// Whether machines can ask the gateway for names.
  [[nodiscard]] bool serves_names() const { return policy_.names_port.has_value(); }
  /// The name server that config.json names, which the gateway asks. Without: those that this host asks.
  [[nodiscard]] const std::optional<net::Ipv4Address>& resolver() const { return resolver_; }
  [[nodiscard]] net::AddressPool& pool() { return pool_; }
  [[nodiscard]] std::vector<net::Lease> leases() const { return pool_.list(); }
  /// Opened on first use.
  net::Firewall& firewall();

  /// Waits for other processes and threads.
  [[nodiscard]] sys::FileLock take_turn() const;
  /// With the turn taken: makes sure that bridge and firewall are there, the latter with all machines that live.
  void ensure();
  /// With the turn taken: removes what machines left whose holders are gone, and takes their addresses back. What this
  /// process has no right to remove is logged and stays on loan.
  std::vector<net::Lease> reclaim();
  /// Removes what is left of a machine from the kernel, then returns its address. Steps that fail are logged, and the
  /// address stays on loan then, for reclaim() to try again.
  bool disconnect(const net::Lease& lease) noexcept;
  /// With the turn taken: removes bridge and firewall. False if there was nothing.
  bool remove();

 private:
  NatNetwork(const Host::Impl& host, NatPlace place, Logger logger, const state::Config& config);
  void reconcile();

  const Host::Impl& host_;
  NatPlace place_;
  Logger logger_;
  net::NetworkPolicy policy_;
  std::optional<net::Ipv4Address> resolver_;
  net::BridgeConfig bridge_;
  net::AddressPool pool_;
  std::optional<net::Firewall> firewall_;
};

/// Runs `action` where the network of the home folder is, which may be in a child of this process; where it is nowhere,
/// on a NatNetwork that has leases only.
void where_network_is(const Host::Impl& host, const std::function<void(NatNetwork&)>& action);

/// A name server that machines could ask themselves.
std::optional<net::Ipv4Address> find_outer_resolver(const NatNetwork& network);

/// This host's IPv4 addresses but loopback's.
std::vector<net::Ipv4Address> host_addresses();

/// What stands in the way of using the network here, beside the process's rights: an interface or a subnet that is
/// taken, a kernel that cannot do what the firewall needs. Changes nothing.
std::vector<NetworkObstacle> find_obstacles(NatNetwork& network);

/// Undoes all that was made for a machine that another process connected; nothing if it has no address.
void disconnect_run(const Host::Impl& host, const state::RunRecord& record) noexcept;

/// The leases of holders that are gone, taken back with all that was left of their machines.
std::vector<net::Lease> reclaim_leases(const Host::Impl& host);

}  // namespace fireclaw::core
