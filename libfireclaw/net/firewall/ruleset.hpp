#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "net/policy.hpp"

namespace fireclaw::net {

// The firewall as text for nft: pure functions of the policy. Two tables carry one network: `inet <name>` decides about
// routed packets, `bridge <name>` about frames that enter from a tap. The machines are elements of sets and maps,
// so that one more machine is a few more elements and no rule changes. Each returned text is to be run as one
// transaction.

/// "fireclaw" for fcbr0, "fireclaw_<bridge>" for other bridges.
std::string table_name(const InterfaceName& bridge);

/// The group of nfnetlink_log to which the firewall of this bridge reports refused packets: see packet_log.hpp.
std::uint16_t log_group(const InterfaceName& bridge);

/// The name of an empty chain that only exists to tell that this very policy is loaded ("policy_4be1…").
std::string policy_chain(const NetworkPolicy& policy);

/// Replaces both tables. Error(InvalidArgument) for contradictions within the policy, or if a
/// machine's address lies outside the subnet.
std::string full_ruleset(const NetworkPolicy& policy, std::span<const VmPolicy> vms);

/// The chain of `inet` that judges machines with this egress. The map `egress` leads to it.
std::string egress_chain(Egress egress);
/// The sets of `inet` that hold only this machine's address.
std::vector<const char*> address_sets(const VmPolicy& vm);

/// Adds the elements of one machine. Running it fails if its address or a published port is taken.
std::string add_vm_commands(const NetworkPolicy& policy, const VmPolicy& vm);

/// Removes the elements of add_vm_commands(). Running it fails if one of them is missing.
std::string remove_vm_commands(const NetworkPolicy& policy, const VmPolicy& vm);

/// Gives a machine other rights: removes the elements of `before` that `after` does not have, and adds what is new.
/// Running it fails if an element to remove is missing. Empty if there is nothing to do.
std::string change_vm_commands(const NetworkPolicy& policy, const VmPolicy& before, const VmPolicy& after);

/// Removes both tables, whether they exist or not.
std::string removal_commands(const InterfaceName& bridge);

}  // namespace fireclaw::net
