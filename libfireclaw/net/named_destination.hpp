#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "net/policy.hpp"

namespace fireclaw::net {

/// A destination outside that a machine is allowed to reach, by host name.
struct NamedDestination {
  /// "example.org", or "*.example.org": every name below it, and not itself.
  std::string host;
  /// nullopt: every port of every protocol.
  std::optional<std::uint16_t> port;
  /// nullopt: TCP and UDP. Only together with a port.
  std::optional<Protocol> protocol;

  /// Whether `text` begins as one, and not with an address.
  static bool is_one(std::string_view text);
  /// "example.org", "example.org:443", "*.example.org:53/udp"; Error(InvalidArgument) quoting anything else.
  static NamedDestination parse(std::string_view text);
  [[nodiscard]] std::string to_string() const;

  /// Whether `host` means the name; neither case nor a dot at the end counts.
  [[nodiscard]] bool matches(std::string_view name) const;
  [[nodiscard]] bool is_wildcard() const { return host.starts_with("*."); }
  /// The destination that it is while the name has this address.
  [[nodiscard]] Destination at(Ipv4Address address) const;

  auto operator<=>(const NamedDestination&) const = default;
};

}  // namespace fireclaw::net
