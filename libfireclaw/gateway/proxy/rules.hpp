#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "gateway/llm/requests.hpp"
#include "gateway/names/lookups.hpp"
#include "gateway/names/service.hpp"
#include "net/named_destination.hpp"

namespace fireclaw::gateway {

// The servers to which the gateway's HTTP proxy connects a machine.

/// A host by name, and a port.
struct HttpTarget {
  /// In lower case, without a dot at its end.
  std::string name;
  std::uint16_t port = 0;

  bool operator==(const HttpTarget&) const = default;
};

/// "example.org:443"; without a port: `usual`. Nothing if it is an address, or not a host's name.
std::optional<HttpTarget> read_authority(std::string_view text, std::optional<std::uint16_t> usual);

/// A machine's request to the proxy.
struct HttpRequest {
  HttpTarget target;
  /// Whether it is a CONNECT: TLS follows.
  bool tunnel = false;
  /// Path and query for the server; empty for a tunnel.
  std::string path;

  bool operator==(const HttpRequest&) const = default;
};

/// Reads a request's head: the method, its target, and the values of the fields Host.
std::variant<HttpRequest, Refusal> read_http_request(std::string_view method, std::string_view target,
                                                     const std::vector<std::string>& hosts);

/// Whether the list has it. Entries without a port mean 80 and 443.
bool allows(const std::vector<net::NamedDestination>& list, const HttpTarget& target);

/// Limits of what machines use of the proxy at once.
struct HttpLimits {
  std::size_t machine_connections = 64;
  std::size_t connections = 512;
  /// The time for a request's head, or a TLS hello, to arrive; and for the connection to a server.
  std::chrono::milliseconds patience{15'000};
  /// The time after which an idle connection ends.
  std::chrono::seconds idle{600};
};

/// The sources of the proxy's decisions.
struct HttpRules {
  /// Must outlive the proxy.
  NameSources* sources = nullptr;
  /// Lookups::find_addresses().
  std::function<void(const std::string& name, Lookups::Addresses done)> find_addresses;
  /// Those of a name's addresses that a machine may be connected to.
  std::function<std::vector<net::Ipv4Address>(const std::vector<Lookups::Address>& found)> admitted;
  HttpLimits limits = {};
};

}  // namespace fireclaw::gateway
