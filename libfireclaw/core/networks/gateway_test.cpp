#include "core/networks/gateway.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "json/json.hpp"
#include "state/settings/gateway.hpp"

using namespace fireclaw;

namespace {

state::Config config_with(const std::string& llm) {
  state::Config config;
  config.gateway =
      json::Value::parse(R"({"llm": {"upstreams": [{"name": "a", "url": "http://a"}])" + llm + "}}", "gateway");
  return config;
}

std::vector<std::string> services_of(net::NetworkPolicy policy, const state::Config& config) {
  core::open_gateway(policy, config);
  std::vector<std::string> services;
  for (const auto& service : policy.services) services.push_back(service.to_string());
  return services;
}

using Services = std::vector<std::string>;

}  // namespace

TEST_CASE("a gateway takes the place of the LLM server that machines reached themselves") {
  CHECK(services_of({}, {}) == Services{"6667/tcp", "6697/tcp", "11434/tcp", "53/tcp", "53/udp"});
  CHECK(services_of({}, config_with("")) == Services{"6667/tcp", "6697/tcp", "53/tcp", "53/udp", "11434/tcp"});
  CHECK(services_of({}, config_with(R"(, "port": 8080)")) ==
        Services{"6667/tcp", "6697/tcp", "53/tcp", "53/udp", "8080/tcp"});
}

TEST_CASE("services that the user has named stay, but for the one that leads around the gateway") {
  auto config = config_with(R"(, "port": 8080)");
  net::NetworkPolicy policy;
  policy.services = {net::Service::parse("127.0.0.1:11434"), net::Service::parse("8080/udp"),
                     net::Service::parse("127.0.0.1:8080")};
  config.network.services = policy.services;
  CHECK(services_of(policy, config) == Services{"8080/udp", "8080/tcp"});
  policy.services = {net::Service::parse("11434")};
  config.network.services = policy.services;
  CHECK(services_of(policy, config) == Services{"11434/tcp", "8080/tcp"});
}

TEST_CASE("a gateway for IRC takes the place of the IRC servers that machines reached themselves") {
  state::Config config;
  config.gateway =
      json::Value::parse(R"({"irc": {"port": 7000, "upstreams": [{"name": "a", "host": "127.0.0.1"}]}})", "gateway");
  CHECK(services_of({}, config) == Services{"11434/tcp", "53/tcp", "53/udp", "7000/tcp"});
  CHECK(core::gateway_ports(config) == core::GatewayPorts{std::nullopt, 7000, true, true});
  net::NetworkPolicy policy;
  policy.services = {net::Service::parse("127.0.0.1:6667"), net::Service::parse("6697")};
  config.network.services = policy.services;
  CHECK(services_of(policy, config) == Services{"6697/tcp", "7000/tcp"});
}

TEST_CASE("where names are served at all, the gateway answers them, also questions to other servers") {
  const auto with_services = [](std::vector<net::Service> services) {
    state::Config config;
    config.network.services = std::move(services);
    return config;
  };
  const auto served = with_services({net::Service::parse("127.0.0.1:53/udp")});
  CHECK(core::gateway_ports({}).names);
  CHECK(core::gateway_ports(served).names);
  CHECK_FALSE(core::gateway_ports(with_services({net::Service::parse("6667")})).any());
  net::NetworkPolicy policy = state::make_network_policy(served.network);
  core::open_gateway(policy, served);
  CHECK(policy.names_port == state::names_port);
  CHECK(std::ranges::none_of(policy.services, &net::Service::on_loopback));

  CHECK_FALSE(core::name_server_of({}));
  CHECK(core::name_server_of(served) == net::loopback_address);
  CHECK(core::name_server_of(with_services({net::Service::parse("127.0.0.1:53/tcp")})) == net::loopback_address);
  CHECK_FALSE(core::name_server_of(with_services({net::Service::parse("53/udp")})));
  CHECK_FALSE(core::name_server_of(with_services({net::Service::parse("127.0.0.1:11434"), net::Service::parse("53")})));
  CHECK_FALSE(core::name_server_of(with_services({})));
  auto named = served;
  named.network.resolver = net::Ipv4Address::parse("192.0.2.53");
  CHECK(core::name_server_of(named) == named.network.resolver);
}
