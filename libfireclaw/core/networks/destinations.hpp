#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "net/named_destination.hpp"
#include "net/policy.hpp"

namespace fireclaw::core {

using net::NamedDestination;
using AllowedDestination = std::variant<net::Destination, NamedDestination>;

/// An entry of NatOptions::allow. Error(InvalidArgument) quoting it.
AllowedDestination parse_allowed(std::string_view text);

/// Whether it is a valid destination.
bool is_destination(std::string_view text) noexcept;

/// `named` with its host's public addresses only: the name server of a name cannot open private networks or a cloud's
/// metadata services. Error(PermissionDenied) if there are addresses, and none is public.
std::vector<net::Destination> public_destinations(const NamedDestination& named,
                                                  const std::vector<net::Ipv4Address>& addresses);

/// public_destinations() of a name's IPv4 addresses. Asks the host's resolver, which may take seconds.
/// Error(NotFound) if it knows none.
std::vector<net::Destination> resolve(const NamedDestination& named);

/// The first name server in `files` (of resolv.conf's format) that others than this host could ask: not one on
/// loopback, not IPv6.
std::optional<net::Ipv4Address> find_resolver(const std::vector<std::filesystem::path>& files);

}  // namespace fireclaw::core
