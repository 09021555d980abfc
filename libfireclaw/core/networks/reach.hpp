#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/host/impl.hpp"
#include "core/networks/destinations.hpp"

namespace fireclaw::core {

// Changes what a running machine may reach.

enum class ReachChange { Allow, Deny };

/// The list (NatOptions::allow) with the destination, or without it; entries with the same meaning count as one.
/// Error(InvalidArgument) for an invalid destination; Error(NotFound), naming `whose` list it is, if a denied one is
/// not on it.
std::vector<std::string> changed_list(std::vector<std::string> list, std::string_view destination, ReachChange change,
                                      std::string_view whose);

/// Changes a running machine: its record, which the gateway uses, and the firewall. Returns its new list. Throws what
/// Network::allow() does; nothing is changed then.
std::vector<std::string> change_reach(const Host::Impl& host, const std::string& run, std::string_view destination,
                                      ReachChange change, std::string_view whose);

}  // namespace fireclaw::core
