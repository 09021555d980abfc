#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/host/impl.hpp"
#include "core/networks/destinations.hpp"

namespace fireclaw::core {

// What a machine may reach, changed while it runs.

enum class ReachChange { Allow, Deny };

/// The list (NatOptions::allow) with the destination, or without it: entries that mean the same are the same.
/// Error(InvalidArgument) for what cannot be one; Error(NotFound), naming `whose` list it is, if what is denied is not
/// on it.
std::vector<std::string> changed_list(std::vector<std::string> list, std::string_view destination, ReachChange change,
                                      std::string_view whose);

/// Changes a machine that runs: its record, which the gateway goes by, and the firewall. Returns the list that it has
/// then. Throws what Network::allow() does; nothing is changed then.
std::vector<std::string> change_reach(const Host::Impl& host, const std::string& run, std::string_view destination,
                                      ReachChange change, std::string_view whose);

}  // namespace fireclaw::core
