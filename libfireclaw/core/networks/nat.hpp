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

/// Where the network of a home folder is, seen from a NatNetwork's user.
struct NatPlace {
  enum class Kind {
    Here,      ///< in the network namespace of the calling thread
    Anchored,  ///< the same, and that is an anchor's: see anchor.hpp
    Nowhere,   ///< its anchor has ended: nothing is left of it but leases
  };
  Kind kind = Kind::Here;
  /// If anchored: the process that keeps it, and the addresses of the host that machines must not reach.
  std::optional<sys::ProcessId> anchor = std::nullopt;
  std::vector<net::Ipv4Address> host_addresses = {};
};

/// The network that a home folder's machines share: bridge, firewall and address pool, as config.json has them. Making
/// one only reads that; everything acts on the network namespace of the calling thread.
///
/// Take the turn to change leases, so that no address is given away while the leftovers of its earlier holder are still
/// being removed. Refers to the host; use from one thread at a time.
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
  /// With the turn taken: makes sure that bridge and firewall exist, the latter with all living machines.
  void ensure();
  /// With the turn taken: removes the leftovers of machines whose holders are gone, and takes their addresses back. If
  /// this process has no right to do so, that is logged, and the address stays on loan.
  std::vector<net::Lease> reclaim();
  /// Removes the leftovers of a machine from the kernel, then returns its address. Steps that fail are logged; the
  /// address then stays on loan, for reclaim() to try again.
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

/// Runs `action` where the network of the home folder is, perhaps in a child of this process; if there is no network,
/// on a NatNetwork that has only leases.
void where_network_is(const Host::Impl& host, const std::function<void(NatNetwork&)>& action);

/// A name server that machines could ask themselves.
std::optional<net::Ipv4Address> find_outer_resolver(const NatNetwork& network);

/// This host's IPv4 addresses, without loopback's.
std::vector<net::Ipv4Address> host_addresses();

/// Finds what prevents the network here, beside the process's rights: an interface or a subnet that is taken, a kernel
/// that lacks what the firewall needs. Changes nothing.
std::vector<NetworkObstacle> find_obstacles(NatNetwork& network);

/// Undoes everything that was made for a machine that another process connected. Does nothing if it has no address.
void disconnect_run(const Host::Impl& host, const state::RunRecord& record) noexcept;

/// Takes back the leases of holders that are gone, and removes the leftovers of their machines.
std::vector<net::Lease> reclaim_leases(const Host::Impl& host);

}  // namespace fireclaw::core
