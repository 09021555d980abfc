#include "net/policy.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/number.hpp"
#include "fireclaw/error.hpp"

namespace fireclaw::net {
namespace {

[[noreturn]] void refuse(std::string_view text, std::string_view wanted) {
  throw Error{ErrorCode::InvalidArgument, fmt::format("'{}' is not {}", text, wanted)};
}

std::optional<std::uint16_t> parse_port(std::string_view text) {
  const auto port = parse_number<std::uint16_t>(text);
  return port == 0 ? std::nullopt : port;
}

/// Cuts "/tcp" or "/udp" off the end of `text`.
std::optional<Protocol> take_protocol(std::string_view& text) {
  const auto ends = [&](std::string_view suffix) {
    if (!text.ends_with(suffix)) return false;
    text.remove_suffix(suffix.size());
    return true;
  };
  if (ends("/tcp")) return Protocol::Tcp;
  if (ends("/udp")) return Protocol::Udp;
  return std::nullopt;
}

}  // namespace

std::string_view to_string(Protocol protocol) noexcept {
  switch (protocol) {
    case Protocol::Tcp: return "tcp";
    case Protocol::Udp: return "udp";
  }
  return "";
}

std::string_view to_string(Egress egress) noexcept {
  switch (egress) {
    case Egress::None: return "none";
    case Egress::Allowlist: return "allowlist";
    case Egress::Internet: return "internet";
  }
  return "";
}

std::string_view to_string(ServiceAccess access) noexcept {
  switch (access) {
    case ServiceAccess::None: return "none";
    case ServiceAccess::Names: return "names";
    case ServiceAccess::All: return "all";
  }
  return "";
}

Egress parse_egress(std::string_view text) {
  for (const auto egress : {Egress::None, Egress::Allowlist, Egress::Internet}) {
    if (text == to_string(egress)) return egress;
  }
  refuse(text, "an egress policy: none, allowlist or internet");
}

Service Service::parse(std::string_view text) {
  auto rest = text;
  constexpr std::string_view loopback = "127.0.0.1:";
  const auto protocol = take_protocol(rest).value_or(Protocol::Tcp);
  const bool on_loopback = rest.starts_with(loopback);
  if (on_loopback) rest.remove_prefix(loopback.size());
  const auto port = parse_port(rest);
  if (!port) refuse(text, "a service such as 6667, 53/udp or 127.0.0.1:11434");
  return {protocol, *port, on_loopback};
}

std::string Service::to_string() const {
  return fmt::format("{}{}/{}", on_loopback ? "127.0.0.1:" : "", port, net::to_string(protocol));
}

Destination Destination::parse(std::string_view text) {
  constexpr std::string_view wanted = "a destination such as 10.0.0.0/8, 192.0.2.7:443 or 192.0.2.7:53/udp";
  auto rest = text;
  Destination destination;
  if (const auto colon = text.rfind(':'); colon != std::string_view::npos) {
    destination.protocol = take_protocol(rest);
    destination.port = parse_port(rest.substr(colon + 1));
    if (!destination.port) refuse(text, wanted);
    rest = rest.substr(0, colon);
  }
  try {
    destination.network = Ipv4Network::parse(rest);
  } catch (Error& error) {
    error.add_context(fmt::format("'{}' is not {}", text, wanted));
    throw;
  }
  return destination;
}

std::string Destination::to_string() const {
  auto text = network.prefix() == 32 ? network.base().to_string() : network.to_string();
  if (port) text += fmt::format(":{}", *port);
  if (port && protocol) text += fmt::format("/{}", net::to_string(*protocol));
  return text;
}

Publication Publication::parse(std::string_view text) {
  constexpr std::string_view wanted = "a published port such as 8080:80, 0.0.0.0:8080:80 or 5353:53/udp";
  auto rest = text;
  Publication publication;
  publication.protocol = take_protocol(rest).value_or(Protocol::Tcp);
  const auto guest = rest.rfind(':');
  if (guest == std::string_view::npos) refuse(text, wanted);
  const auto guest_port = parse_port(rest.substr(guest + 1));
  rest = rest.substr(0, guest);
  if (const auto host = rest.rfind(':'); host != std::string_view::npos) {
    try {
      publication.host_address = Ipv4Address::parse(rest.substr(0, host));
    } catch (Error& error) {
      error.add_context(fmt::format("'{}' is not {}", text, wanted));
      throw;
    }
    rest = rest.substr(host + 1);
  }
  const auto host_port = parse_port(rest);
  if (!guest_port || !host_port) refuse(text, wanted);
  publication.host_port = *host_port;
  publication.guest_port = *guest_port;
  return publication;
}

Error Publication::taken_by(std::string_view owner) const {
  return {ErrorCode::AlreadyExists,
          fmt::format("cannot publish {}: the machine with address {} has published that port of the host", to_string(),
                      owner)};
}

std::string Publication::to_string() const {
  return fmt::format("{}{}:{}/{}", host_address == loopback_address ? "" : host_address.to_string() + ":", host_port,
                     guest_port, net::to_string(protocol));
}

const std::vector<Ipv4Network>& never_reachable() {
  // "This" network, loopback, link-local with the clouds' metadata services, Azure's and Oracle's of them, multicast,
  // reserved, broadcast.
  static const std::vector<Ipv4Network> networks{
      Ipv4Network::parse("0.0.0.0/8"),        Ipv4Network::parse("127.0.0.0/8"),  Ipv4Network::parse("169.254.0.0/16"),
      Ipv4Network::parse("168.63.129.16/32"), Ipv4Network::parse("192.0.0.0/24"), Ipv4Network::parse("224.0.0.0/3")};
  return networks;
}

const std::vector<Ipv4Network>& private_networks() {
  // RFC 1918, shared address space, benchmarking.
  static const std::vector<Ipv4Network> networks{
      Ipv4Network::parse("10.0.0.0/8"), Ipv4Network::parse("100.64.0.0/10"), Ipv4Network::parse("172.16.0.0/12"),
      Ipv4Network::parse("192.168.0.0/16"), Ipv4Network::parse("198.18.0.0/15")};
  return networks;
}

bool is_public(Ipv4Address address) {
  const auto has_it = [&](const Ipv4Network& network) { return network.contains(address); };
  return std::ranges::none_of(never_reachable(), has_it) && std::ranges::none_of(private_networks(), has_it);
}

}  // namespace fireclaw::net
