#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "net/policy.hpp"

namespace fireclaw::core {

/// A destination named by its host: "example.org", "example.org:443", "example.org:53/udp".
struct NamedDestination {
  std::string host;
  std::optional<std::uint16_t> port;
  std::optional<net::Protocol> protocol;

  bool operator==(const NamedDestination&) const = default;
};

using AllowedDestination = std::variant<net::Destination, NamedDestination>;

/// An entry of NatOptions::allow. Error(InvalidArgument) quoting it.
AllowedDestination parse_allowed(std::string_view text);

/// `named` with those of its host's addresses that are public: who answers for a name opens no private network, and
/// none of a cloud's metadata services. Error(PermissionDenied) if there are addresses, and none is public.
std::vector<net::Destination> public_destinations(const NamedDestination& named,
                                                  const std::vector<net::Ipv4Address>& addresses);

/// The destination itself, or public_destinations() of its host's IPv4 addresses. Asks the host's resolver, which may
/// take seconds. Error(NotFound) if it knows none.
std::vector<net::Destination> resolve(const AllowedDestination& destination);

/// The first name server in `files` (of resolv.conf's format) that others than this host could ask: not one on
/// loopback, not IPv6.
std::optional<net::Ipv4Address> find_resolver(const std::vector<std::filesystem::path>& files);

}  // namespace fireclaw::core
