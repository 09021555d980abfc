#include "gateway/names/rules.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace fireclaw;
using gateway::NameRule;
namespace dns = gateway::dns;

namespace {

using Action = NameRule::Action;

gateway::NameRights rights(net::Egress egress, std::vector<std::string> names = {}) {
  gateway::NameRights made{{net::InterfaceName{"fcbr0-1"}, {}, {}, egress, {}, net::ServiceAccess::Names, {}}, {}};
  for (const auto& name : names) made.names.push_back(net::NamedDestination::parse(name));
  return made;
}

dns::Question question(std::string name, std::uint16_t type = dns::type_a) {
  return {7, true, std::move(name), type, 1, {}};
}

std::vector<gateway::Lookups::Address> addresses(std::vector<const char*> texts) {
  std::vector<gateway::Lookups::Address> made;
  for (const auto* text : texts) made.push_back({net::Ipv4Address::parse(text), std::chrono::seconds{60}});
  return made;
}

constexpr std::uint16_t type_txt = 16;

}  // namespace

TEST_CASE("with an allow list only its names are looked up, and only their addresses") {
  const auto listed = rights(net::Egress::Allowlist, {"example.org:443", "*.example.net"});
  CHECK(judge(listed, question("example.org")).action == Action::Addresses);
  CHECK(judge(listed, question("EXAMPLE.org")).action == Action::Addresses);
  CHECK(judge(listed, question("a.b.example.net")).action == Action::Addresses);
  CHECK(judge(listed, question("example.org", dns::type_aaaa)).action == Action::Empty);
  CHECK(judge(listed, question("example.org", type_txt)).action == Action::Empty);
  for (const auto* name : {"www.example.org", "example.net", "example.com", "", "secret.attacker.example"}) {
    CAPTURE(name);
    const auto rule = judge(listed, question(name));
    CHECK(rule.action == Action::Refuse);
    CHECK(rule.rule == "allowlist");
  }
}

TEST_CASE("with egress none no name is asked for, but the gateway has its own") {
  const auto nothing = rights(net::Egress::None, {"example.org"});
  CHECK(judge(nothing, question("example.org")).action == Action::Refuse);
  CHECK(judge(nothing, question("example.org")).rule == "egress");
  for (const auto egress : {net::Egress::None, net::Egress::Allowlist, net::Egress::Internet}) {
    CHECK(judge(rights(egress), question("gateway.fireclaw.internal")).action == Action::Own);
    CHECK(judge(rights(egress), question("gateway.fireclaw.internal", dns::type_aaaa)).action == Action::Empty);
    CHECK(judge(rights(egress), question("c2VjcmV0.fireclaw.internal")).action == Action::NoName);
  }
}

TEST_CASE("with egress internet everything is asked for, but for whole zones and other classes") {
  const auto all = rights(net::Egress::Internet, {"example.org"});
  CHECK(judge(all, question("example.com")).action == Action::Addresses);
  CHECK(judge(all, question("example.com", type_txt)).action == Action::PassOn);
  CHECK(judge(all, question("example.com", dns::type_aaaa)).action == Action::Empty);
  for (const std::uint16_t type : {251, 252, 255}) CHECK(judge(all, question("example.com", type)).rule == "type");
  auto chaos = question("version.bind", type_txt);
  chaos.class_number = 3;
  CHECK(judge(all, chaos).action == Action::Refuse);
}

TEST_CASE("a name stands for public addresses, and for those that were allowed as such") {
  auto machine = rights(net::Egress::Internet);
  machine.vm.allow = {net::Destination::parse("10.1.0.0/16"), net::Destination::parse("169.254.0.0/16")};
  CHECK(may_be_answered(machine, net::Ipv4Address::parse("203.0.113.7")));
  CHECK(may_be_answered(machine, net::Ipv4Address::parse("10.1.2.3")));
  for (const auto* text : {"10.2.0.1", "192.168.1.1", "127.0.0.1", "169.254.169.254", "0.0.0.0"}) {
    CAPTURE(text);
    CHECK_FALSE(may_be_answered(machine, net::Ipv4Address::parse(text)));
  }
}

TEST_CASE("an answer opens each public address at the ports of the entries that mean the name, once") {
  const auto listed = rights(net::Egress::Allowlist, {"example.org:443", "*.org:80/tcp", "*.org:443"});
  const auto rule = judge(listed, question("example.org"));
  CHECK(opened_by(rule, addresses({"203.0.113.8", "10.0.0.1", "203.0.113.8"})) ==
        std::vector{net::Destination::parse("203.0.113.8:80/tcp"), net::Destination::parse("203.0.113.8:443")});
}

TEST_CASE(
    "an answer from outside gets the machine's id and is passed on if it fits, otherwise it is marked as truncated") {
  const auto asked = question("example.org", type_txt);
  const std::string head{"\xab\xcd\x81\x80", 4};
  const auto longest = head + std::string(dns::most_udp_bytes - head.size(), 'x');
  const auto whole = dns::pass_on(asked, longest, dns::most_udp_bytes);
  CHECK(whole.substr(0, 2) == std::string_view{"\0\7", 2});
  CHECK(whole.substr(2) == longest.substr(2));
  const auto cut = dns::pass_on(asked, longest + 'x', dns::most_udp_bytes);
  constexpr std::size_t head_bytes = 12;
  CHECK(cut.size() == head_bytes);
  CHECK((cut.at(2) & 0x02) != 0);
  // An answer shorter than a header is the server's failure.
  CHECK(dns::pass_on(asked, longest.substr(0, head_bytes - 1), dns::most_udp_bytes) ==
        dns::answer(asked, dns::Code::ServerFailed));
}
