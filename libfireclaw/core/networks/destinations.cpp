#include "core/networks/destinations.hpp"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <memory>
#include <sstream>

#include <fmt/format.h>

#include "fireclaw/error.hpp"
#include "sys/file.hpp"

namespace fireclaw::core {
namespace {

constexpr std::size_t max_resolver_file = std::size_t{1} << 20;

std::vector<net::Ipv4Address> addresses_of(const std::string& host) {
  addrinfo hints{};
  hints.ai_family = AF_INET;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* raw = nullptr;
  const int result = ::getaddrinfo(host.c_str(), nullptr, &hints, &raw);
  if (result != 0) {
    throw Error{ErrorCode::NotFound,
                fmt::format("no IPv4 address of '{}' is known here: {}", host, ::gai_strerror(result))};
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> list{raw, ::freeaddrinfo};
  std::vector<net::Ipv4Address> addresses;
  for (const auto* entry = list.get(); entry != nullptr; entry = entry->ai_next) {
    const auto& address = *reinterpret_cast<const sockaddr_in*>(entry->ai_addr);
    addresses.push_back(net::Ipv4Address::from_bits(ntohl(address.sin_addr.s_addr)));
  }
  return addresses;
}

}  // namespace

AllowedDestination parse_allowed(std::string_view text) {
  if (NamedDestination::is_one(text)) return NamedDestination::parse(text);
  return net::Destination::parse(text);
}

bool is_destination(std::string_view text) noexcept {
  try {
    static_cast<void>(parse_allowed(text));
    return true;
  } catch (const Error&) {
    return false;
  }
}

std::vector<net::Destination> public_destinations(const NamedDestination& named,
                                                  const std::vector<net::Ipv4Address>& addresses) {
  std::vector<net::Destination> found;
  for (const auto address : addresses) {
    if (net::is_public(address)) found.push_back(named.at(address));
  }
  if (found.empty() && !addresses.empty()) {
    throw Error{ErrorCode::PermissionDenied,
                fmt::format("'{}' is {} here: a name opens public addresses only; to allow this one, name the address "
                            "itself",
                            named.host, addresses.front().to_string())};
  }
  return found;
}

std::vector<net::Destination> resolve(const NamedDestination& named) {
  return public_destinations(named, addresses_of(named.host));
}

std::optional<net::Ipv4Address> find_resolver(const std::vector<std::filesystem::path>& files) {
  const auto loopback = net::Ipv4Network::parse("127.0.0.0/8");
  for (const auto& file : files) {
    std::error_code missing;
    if (!std::filesystem::is_regular_file(file, missing)) continue;
    std::istringstream lines{sys::read_file(file, max_resolver_file)};
    for (std::string line; std::getline(lines, line);) {
      std::istringstream words{line};
      std::string key;
      std::string value;
      if (!(words >> key >> value) || key != "nameserver") continue;
      try {
        const auto address = net::Ipv4Address::parse(value);
        if (address != net::Ipv4Address{} && !loopback.contains(address)) return address;
      } catch (const Error&) {
        continue;  // IPv6, or nothing that makes sense
      }
    }
  }
  return std::nullopt;
}

}  // namespace fireclaw::core
