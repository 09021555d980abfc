#include "state/settings/network.hpp"

#include <doctest/doctest.h>

#include <string>

#include "fireclaw/error.hpp"

using namespace fireclaw;

namespace {

state::NetworkSettings read(const std::string& text) {
  return state::read_network_settings(json::Value::parse(text, "config.json").at("network"));
}

std::string complaint(const std::string& section) {
  try {
    read("{\"network\": " + section + "}");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::Corrupt);
    return error.what();
  }
  return "nothing";
}

}  // namespace

TEST_CASE("network settings are written back as they were read, and those left out stay left out") {
  const std::string text =
      R"({"network":{"bridge":"claw1","subnet":"10.77.0.0/16","gateway":"10.77.0.1","services":["6667/tcp",)"
      R"("127.0.0.1:11434/tcp"],"resolver":"192.0.2.53","new_connections_per_second":50,"connections":900}})";
  for (const auto& whole : {text, std::string{R"({"network":{"subnet":"10.77.0.0/16"}})"}, std::string{"{}"}}) {
    const auto settings = whole == "{}" ? state::NetworkSettings{} : read(whole);
    json::Writer out;
    out.begin_object();
    state::write_network_settings(out, settings);
    out.end_object();
    CHECK(out.take() == whole);
  }
}

TEST_CASE("a subnet of its own brings its first address as the gateway") {
  const auto policy = state::make_network_policy(read(R"({"network": {"subnet": "10.77.0.0/16"}})"));
  CHECK(policy.subnet.to_string() == "10.77.0.0/16");
  CHECK(policy.gateway.to_string() == "10.77.0.1");
  CHECK(policy.bridge.str() == "fcbr0");
  CHECK(policy.services == net::NetworkPolicy{}.services);
  CHECK(state::make_network_policy({}) == net::NetworkPolicy{});
  const auto all = state::make_network_policy(read(
      R"({"network": {"bridge": "claw1", "gateway": "172.16.0.9", "new_connections_per_second": 7, "connections": 8}})"));
  CHECK(all.bridge.str() == "claw1");
  CHECK(all.gateway.to_string() == "172.16.0.9");
  CHECK(all.new_connections_per_second == 7);
  CHECK(all.connections == 8);
}

TEST_CASE("names that are served by UDP are served by TCP too, in the same place") {
  const auto services = [](const std::string& list) {
    std::vector<std::string> texts;
    const auto policy = state::make_network_policy(read(R"({"network": {"services": )" + list + "}}"));
    for (const auto& service : policy.services) texts.push_back(service.to_string());
    return texts;
  };
  using Texts = std::vector<std::string>;
  CHECK(services(R"(["6667", "53/udp"])") == Texts{"6667/tcp", "53/udp", "53/tcp"});
  CHECK(services(R"(["127.0.0.1:53/udp"])") == Texts{"127.0.0.1:53/udp", "127.0.0.1:53/tcp"});
  CHECK(services(R"(["127.0.0.1:53", "53/udp"])") == Texts{"127.0.0.1:53/tcp", "53/udp"});
  CHECK(services(R"(["53"])") == Texts{"53/tcp"});
}

TEST_CASE("a setting that cannot be is named with its place") {
  const auto names = [](const std::string& section, const std::string& place) {
    const auto text = complaint(section);
    CAPTURE(text);
    CHECK(text.starts_with("config.json: " + place));
  };
  names(R"({"bridge": "much-too-long"})", "network.bridge");
  names(R"({"bridge": 7})", "network.bridge");
  names(R"({"subnet": "10.0.0.0/31"})", "network.subnet");
  names(R"({"subnet": "10.0.0.0/7"})", "network.subnet");
  CHECK(complaint(R"({"subnet": "10.0.0.0/8"})") == "nothing");
  CHECK(complaint(R"({"subnet": "10.0.0.0/30"})") == "nothing");
  names(R"({"subnet": "10.0.0.1/24"})", "network.subnet");
  names(R"({"subnet": "127.0.0.0/24"})", "network.subnet");
  names(R"({"subnet": "0.0.0.0/8"})", "network.subnet");
  names(R"({"gateway": "172.16.1.1"})", "network.gateway");
  names(R"({"subnet": "10.0.0.0/24", "gateway": "10.0.0.255"})", "network.gateway");
  names(R"({"services": ["6667", "http"]})", "network.services[1]");
  names(R"({"services": ["6667", "127.0.0.1:6667"]})", "network.services[1]");
  names(R"({"resolver": "127.0.0.53"})", "network.resolver");
  names(R"({"resolver": "2001:db8::1"})", "network.resolver");
  names(R"({"new_connections_per_second": 0})", "network.new_connections_per_second");
  names(R"({"connections": 0})", "network.connections");
  names(R"({"connections": 1000001})", "network.connections");
  CHECK(complaint(R"({"connections": 1000000})") == "nothing");
  names(R"({"subnet": "10.0.0.0/24", "gateway": "10.0.0.0"})", "network.gateway");
  CHECK(complaint(R"({"proxy": true})").find("proxy") != std::string::npos);
}
