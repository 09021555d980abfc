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

constexpr std::size_t max_host_name = 253;
constexpr std::size_t max_label = 63;
constexpr std::size_t max_resolver_file = std::size_t{1} << 20;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

/// Labels of letters, digits and inner hyphens, the last of which is not a number: an address is not a name.
bool is_host_name(std::string_view name) {
  if (name.ends_with('.')) name.remove_suffix(1);
  if (name.empty() || name.size() > max_host_name) return false;
  std::string_view label;
  while (true) {
    label = name.substr(0, name.find('.'));
    const bool fits = !label.empty() && label.size() <= max_label && label.front() != '-' && label.back() != '-' &&
                      std::ranges::all_of(label, [](char c) { return is_digit(c) || is_letter(c) || c == '-'; });
    if (!fits) return false;
    if (label.size() == name.size()) break;
    name.remove_prefix(label.size() + 1);
  }
  return !std::ranges::all_of(label, is_digit);
}

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
  const auto colon = text.find(':');
  const auto host = text.substr(0, colon);
  if (!is_host_name(host)) return net::Destination::parse(text);
  NamedDestination named{std::string{host}, std::nullopt, std::nullopt};
  if (colon == std::string_view::npos) return named;
  try {
    // What follows a name is what follows an address.
    const auto rest = net::Destination::parse(fmt::format("192.0.2.1{}", text.substr(colon)));
    named.port = rest.port;
    named.protocol = rest.protocol;
  } catch (const Error&) {
    throw Error{ErrorCode::InvalidArgument,
                fmt::format("'{}' is not a destination such as example.org:443 or example.org:53/udp", text)};
  }
  return named;
}

std::vector<net::Destination> public_destinations(const NamedDestination& named,
                                                  const std::vector<net::Ipv4Address>& addresses) {
  std::vector<net::Destination> found;
  for (const auto address : addresses) {
    if (net::is_public(address)) found.push_back({net::Ipv4Network{address, 32}, named.port, named.protocol});
  }
  if (found.empty() && !addresses.empty()) {
    throw Error{ErrorCode::PermissionDenied,
                fmt::format("'{}' is {} here: a name opens public addresses only; to allow this one, name the address "
                            "itself",
                            named.host, addresses.front().to_string())};
  }
  return found;
}

std::vector<net::Destination> resolve(const AllowedDestination& destination) {
  if (const auto* plain = std::get_if<net::Destination>(&destination)) return {*plain};
  const auto& named = std::get<NamedDestination>(destination);
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
