#include "state/settings/network.hpp"

#include <algorithm>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "fireclaw/error.hpp"

namespace fireclaw::state {
namespace {

/// A member read by one of net's parsers, whose complaint then names the field.
template <typename Parse>
auto read_text(const json::Value& value, Parse parse) {
  try {
    return parse(value.as_string());
  } catch (const Error& error) {
    if (error.code() == ErrorCode::Corrupt) throw;
    value.fail(error.what());
  }
}

net::Ipv4Network read_subnet(const json::Value& value) {
  const auto subnet = read_text(value, net::Ipv4Network::parse);
  if (subnet.prefix() < 8 || subnet.prefix() > 30) value.fail("the prefix must be 8 to 30");
  for (const auto* reserved : {"0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3"}) {
    if (subnet.overlaps(net::Ipv4Network::parse(reserved))) {
      value.fail(fmt::format("{} cannot be used: {} has its own meaning", subnet.to_string(), reserved));
    }
  }
  return subnet;
}

std::vector<net::Service> read_services(const json::Value& value) {
  std::vector<net::Service> services;
  for (const auto& entry : value.as_array()) {
    const auto service = read_text(entry, net::Service::parse);
    const bool twice = std::ranges::any_of(services, [&](const net::Service& other) {
      return other.protocol == service.protocol && other.port == service.port;
    });
    if (twice) entry.fail(fmt::format("port {} is listed twice", service.port));
    services.push_back(service);
  }
  return services;
}

unsigned read_limit(const json::Value& value) {
  const auto limit = value.as_uint();
  if (limit == 0 || limit > 1'000'000) value.fail("must be 1 to 1000000");
  return static_cast<unsigned>(limit);
}

std::vector<net::Service> with_names_by_tcp(std::vector<net::Service> services) {
  constexpr std::uint16_t dns_port = 53;
  const auto find = [&](net::Protocol protocol) {
    return std::ranges::find_if(services, [&](const net::Service& service) {
      return service.port == dns_port && service.protocol == protocol;
    });
  };
  const auto by_udp = find(net::Protocol::Udp);
  if (by_udp == services.end() || find(net::Protocol::Tcp) != services.end()) return services;
  services.push_back({net::Protocol::Tcp, dns_port, by_udp->on_loopback});
  return services;
}

void check_gateway(const json::Value& value, net::Ipv4Address gateway, const net::Ipv4Network& subnet) {
  if (!subnet.contains(gateway) || gateway == subnet.base() || gateway == subnet.last()) {
    value.fail(fmt::format("{} cannot be the gateway of {}", gateway.to_string(), subnet.to_string()));
  }
}

}  // namespace

NetworkSettings read_network_settings(const json::Value& section) {
  section.only({"bridge", "subnet", "gateway", "services", "resolver", "new_connections_per_second", "connections"});
  NetworkSettings settings;
  if (const auto value = section.find("bridge")) settings.bridge = read_text(*value, net::bridge_name);
  if (const auto value = section.find("subnet")) settings.subnet = read_subnet(*value);
  if (const auto value = section.find("gateway")) {
    settings.gateway = read_text(*value, net::Ipv4Address::parse);
    check_gateway(*value, *settings.gateway, settings.subnet.value_or(net::NetworkPolicy{}.subnet));
  }
  if (const auto value = section.find("services")) settings.services = read_services(*value);
  if (const auto value = section.find("resolver")) {
    settings.resolver = read_text(*value, net::Ipv4Address::parse);
    if (net::Ipv4Network::parse("127.0.0.0/8").contains(*settings.resolver)) {
      value->fail("a name server at 127.x answers the host itself only; name the one it passes queries on to");
    }
  }
  if (const auto value = section.find("new_connections_per_second")) {
    settings.new_connections_per_second = read_limit(*value);
  }
  if (const auto value = section.find("connections")) settings.connections = read_limit(*value);
  return settings;
}

void write_network_settings(json::Writer& out, const NetworkSettings& settings) {
  if (settings == NetworkSettings{}) return;
  out.key("network").begin_object();
  if (settings.bridge) out.field("bridge", settings.bridge->str());
  if (settings.subnet) out.field("subnet", settings.subnet->to_string());
  if (settings.gateway) out.field("gateway", settings.gateway->to_string());
  if (settings.services) {
    out.key("services").begin_array();
    for (const auto& service : *settings.services) out.value(service.to_string());
    out.end_array();
  }
  if (settings.resolver) out.field("resolver", settings.resolver->to_string());
  if (settings.new_connections_per_second) {
    out.field("new_connections_per_second", *settings.new_connections_per_second);
  }
  if (settings.connections) out.field("connections", *settings.connections);
  out.end_object();
}

net::NetworkPolicy make_network_policy(const NetworkSettings& settings) {
  net::NetworkPolicy policy;
  if (settings.bridge) policy.bridge = *settings.bridge;
  if (settings.subnet) {
    policy.subnet = *settings.subnet;
    policy.gateway = net::Ipv4Address::from_bits(settings.subnet->base().bits() + 1);
  }
  if (settings.gateway) policy.gateway = *settings.gateway;
  if (settings.services) policy.services = with_names_by_tcp(*settings.services);
  policy.new_connections_per_second = settings.new_connections_per_second.value_or(policy.new_connections_per_second);
  policy.connections = settings.connections.value_or(policy.connections);
  return policy;
}

}  // namespace fireclaw::state
