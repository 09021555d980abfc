#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "net/firewall/probe.hpp"
#include "net/policy.hpp"

namespace fireclaw::net {

/// Loads libnftables (a millisecond) if it is installed. Otherwise a Firewall loads it when it needs it. Call it before
/// forking from a process with threads: a child should not load libraries.
void preload_firewall() noexcept;

/// The loaded firewall of one bridge: the tables of ruleset.hpp, in the network namespace of the thread that made the
/// object. Calls are made in it too, unless try_out() was the first. Every change is one transaction: it is in force as
/// a whole or not at all. Other tables are never touched. Processes take turns by `lock_file`; the object may be used
/// from several threads. Does not own the tables: they stay until remove(). A machine without an allowlist, published
/// ports or a rate comes and goes without libnftables, which takes a millisecond to load and more to read the tables.
class Firewall {
 public:
  /// Error(Unsupported) if the kernel has no nftables. All other members: Error(PermissionDenied) without
  /// CAP_NET_ADMIN, Error(Unsupported) without libnftables where it is needed.
  Firewall(NetworkPolicy policy, std::filesystem::path lock_file);
  Firewall(Firewall&&) noexcept;
  Firewall& operator=(Firewall&&) noexcept;
  ~Firewall();

  [[nodiscard]] const NetworkPolicy& policy() const;
  /// The netlink socket that adds and removes machines. Closing its last copy after a removal waits for a grace
  /// period of the kernel's (6 to 12 ms were seen), and so does the end of a process that has it.
  [[nodiscard]] int socket() const;

  /// Whether the kernel would take the policy: has it checked, and changes nothing. Throws what ensure() would. From
  /// then on the other members use this thread's network namespace.
  void try_out();
  /// Loads the policy unless it is loaded already; machines that are known to the kernel stay as they are, with the
  /// connections that they have. Returns whether anything had to be done.
  bool ensure();
  /// Lets a machine in, or gives it other rights. The leftovers of an earlier holder of its address are removed in the
  /// same transaction, and its connections are ended.
  /// Error(AlreadyExists) naming the port if another machine has published it; Error(InvalidState) without ensure().
  void add_vm(const VmPolicy& vm);
  /// Changes a machine's rights from `before` to `after`, and ends its connections to `closed`. With `names`, addresses
  /// that names had opened to it are closed too; a machine with an allowlist then loses all connections except those to
  /// the gateway and the list. Other connections stay. Error(InvalidState) if the firewall does not know the machine
  /// with the rights `before`.
  void change_vm(const VmPolicy& before, const VmPolicy& after, std::span<const Ipv4Network> closed, bool names);
  /// Shuts a machine out again and ends its connections. False if the firewall did not know it; the connections end all
  /// the same.
  bool remove_vm(Ipv4Address address);
  /// The same, faster, with the policy that add_vm() got.
  bool remove_vm(const VmPolicy& vm);
  /// The machines as the kernel has them, by address. The allowlists are as the sets store them: without entries that
  /// are contained in others, and with a protocol wherever there is a port.
  [[nodiscard]] std::vector<VmPolicy> vms();
  /// Loads everything again: the policy, and exactly these machines. The connections of others are ended.
  void reconcile(std::span<const VmPolicy> vms);
  /// Removes both tables. False if there were none.
  bool remove();

  /// Chains of others that drop or refuse packets of bridges that they do not know (Docker's, ufw's, firewalld's),
  /// which our tables cannot overrule, each with the command that lets machines through. A chain that has a rule about
  /// the bridge knows it.
  [[nodiscard]] std::vector<Obstacle> foreign_drops();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace fireclaw::net
