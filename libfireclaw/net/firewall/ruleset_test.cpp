#include "net/firewall/ruleset.hpp"

#include <doctest/doctest.h>

#include <string>

#include "fireclaw/error.hpp"
#include "sys/file.hpp"

using namespace fireclaw;
using namespace fireclaw::net;

namespace {

VmPolicy machine(const std::string& address, Egress egress) {
  const auto ip = Ipv4Address::parse(address);
  return {tap_name(NetworkPolicy{}.bridge, "0a1b2c3d"),
          MacAddress::for_address(ip),
          ip,
          egress,
          {},
          ServiceAccess::All,
          {}};
}

/// A policy that uses everything, and two machines.
std::string everything() {
  NetworkPolicy policy;
  policy.services = {Service::parse("6667"), Service::parse("127.0.0.1:11434"), Service::parse("53/udp")};
  policy.names_port = 10053;
  policy.new_connections_per_second = 50;
  auto first = machine("172.16.0.2", Egress::Allowlist);
  first.allow = {Destination::parse("198.51.100.0/24"), Destination::parse("203.0.113.7:443"),
                 Destination::parse("203.0.113.8:53/udp")};
  first.publish = {Publication::parse("0.0.0.0:8080:80"), Publication::parse("127.0.0.1:2222:22")};
  auto second = machine("172.16.0.3", Egress::None);
  second.services = ServiceAccess::Names;
  second.mib_per_second = 5;
  return full_ruleset(policy, std::vector{first, second});
}

void check_golden(const std::string& text, const std::string& file) {
  const auto path = std::filesystem::path{FIRECLAW_NET_TESTDATA} / file;
  CHECK_MESSAGE(text == sys::read_file(path), "the ruleset differs from ", path.string(), "; it now is:\n", text);
}

}  // namespace

TEST_CASE("the default policy is the ruleset on record") { check_golden(full_ruleset({}, {}), "default.nft"); }

TEST_CASE("a policy that uses everything is the ruleset on record") { check_golden(everything(), "everything.nft"); }

TEST_CASE("an HTTP proxy at the gateway is open to machines that may ask it for names") {
  NetworkPolicy policy;
  policy.http_port = 10080;
  const auto rule = "    ip saddr @name_clients ip daddr 172.16.0.1 tcp dport 10080 accept\n";
  CHECK(full_ruleset(policy, {}).find(rule) != std::string::npos);
  CHECK(full_ruleset({}, {}).find("10080") == std::string::npos);
}

TEST_CASE("a machine is added and removed by the same elements") {
  auto vm = machine("172.16.0.9", Egress::Internet);
  vm.allow = {Destination::parse("10.0.0.0/8")};
  vm.mib_per_second = 20;
  CHECK(add_vm_commands({}, vm) ==
        "create element bridge fireclaw sources { \"fcbr0-0a1b2c3d\" . 02:fc:ac:10:00:09 . 172.16.0.9 }\n"
        "create element inet fireclaw egress { 172.16.0.9 : goto egress_internet }\n"
        "create element inet fireclaw name_clients { 172.16.0.9 }\n"
        "create element inet fireclaw clients { 172.16.0.9 }\n"
        "create element inet fireclaw rates { 172.16.0.9 limit rate over 20 mbytes/second burst 64 kbytes }\n"
        "create element inet fireclaw allowed_networks { 172.16.0.9 . 10.0.0.0/8 }\n");
  auto removal = remove_vm_commands({}, vm);
  std::string as_addition;
  for (std::size_t at = 0; at < removal.size();) {
    const auto end = removal.find('\n', at) + 1;
    CHECK(removal.substr(at, 7) == "delete ");
    as_addition += "create " + removal.substr(at + 7, end - at - 7);
    at = end;
  }
  CHECK(as_addition == add_vm_commands({}, vm));
}

TEST_CASE("destinations that others contain are left out, since overlapping intervals cannot be stored") {
  auto vm = machine("172.16.0.9", Egress::Allowlist);
  vm.allow = {Destination::parse("10.1.0.0/16"),       Destination::parse("10.0.0.0/8"),
              Destination::parse("10.0.0.0/8"),        Destination::parse("192.0.2.0/24:443"),
              Destination::parse("192.0.2.9:443/tcp"), Destination::parse("10.9.9.9:80/tcp")};
  const auto text = add_vm_commands({}, vm);
  CHECK(text.find("allowed_networks { 172.16.0.9 . 10.0.0.0/8 }\n") != std::string::npos);
  CHECK(text.find("allowed_ports { 172.16.0.9 . 10.9.9.9/32 . tcp . 80, 172.16.0.9 . 192.0.2.0/24 . tcp . 443, "
                  "172.16.0.9 . 192.0.2.0/24 . udp . 443 }\n") != std::string::npos);
}

TEST_CASE("another bridge has tables of its own") {
  NetworkPolicy policy;
  policy.bridge = bridge_name("lab1");
  const auto text = full_ruleset(policy, {});
  CHECK(text.find("fcbr0") == std::string::npos);
  CHECK(text.find("table inet fireclaw_lab1 {") != std::string::npos);
  CHECK(text.find("iifname \"lab1-*\" goto from_tap") != std::string::npos);
}

TEST_CASE("every change of the policy changes the name it is recognised by, machines do not") {
  const NetworkPolicy policy;
  auto other = policy;
  other.ping = false;
  auto third = policy;
  third.services.pop_back();
  CHECK(policy_chain(policy) != policy_chain(other));
  CHECK(policy_chain(policy) != policy_chain(third));
  const std::vector vms{machine("172.16.0.2", Egress::None)};
  CHECK(full_ruleset(policy, vms).find(policy_chain(policy)) != std::string::npos);
}

TEST_CASE("a policy that cannot work is refused before anything is loaded") {
  NetworkPolicy policy;
  SUBCASE("the gateway is elsewhere") { policy.gateway = Ipv4Address::parse("10.0.0.1"); }
  SUBCASE("no connection may be made") { policy.new_connections_per_second = 0; }
  CHECK_THROWS_AS(full_ruleset(policy, {}), Error);
}

TEST_CASE("a machine that does not fit the network is refused") {
  auto vm = machine("172.16.0.9", Egress::None);
  SUBCASE("address of another network") { vm.address = Ipv4Address::parse("172.16.1.9"); }
  SUBCASE("the gateway's address") { vm.address = NetworkPolicy{}.gateway; }
  SUBCASE("the broadcast address") { vm.address = NetworkPolicy{}.subnet.last(); }
  SUBCASE("an interface that the rules do not cover") { vm.tap = InterfaceName{"tap0"}; }
  SUBCASE("port 0") { vm.publish = {Publication{}}; }
  CHECK_THROWS_AS(add_vm_commands({}, vm), Error);
}
