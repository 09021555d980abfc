#include "net/firewall/elements.hpp"

#include <doctest/doctest.h>

#include <string>

#include "fireclaw/error.hpp"

using namespace fireclaw;
using namespace fireclaw::net;

namespace {

std::string listing(const std::string& objects) {
  return R"({"nftables": [{"metainfo": {"version": "1.0.6"}}, )" + objects + "]}";
}

std::string set(const std::string& name, const std::string& elements) {
  return R"({"set": {"family": "inet", "name": ")" + name + R"(", "table": "fireclaw", "elem": [)" + elements + "]}}";
}

std::string map(const std::string& name, const std::string& elements) {
  return R"({"map": {"family": "inet", "name": ")" + name + R"(", "table": "fireclaw", "elem": [)" + elements + "]}}";
}

const std::string source = set("sources", R"({"concat": ["fcbr0-1", "02:fc:ac:10:00:02", "172.16.0.2"]})");

}  // namespace

TEST_CASE("a machine is put together from its elements in all sets") {
  const auto elements = read_elements(
      listing(source + "," + set("name_clients", R"("172.16.0.2")") + "," + set("clients", R"("172.16.0.2")") + "," +
              set("allowed_networks", R"({"concat": ["172.16.0.2", {"prefix": {"addr": "10.0.0.0", "len": 8}}]})") +
              "," + set("allowed_ports", R"({"concat": ["172.16.0.2", "192.0.2.7", "tcp", 443]})") + "," +
              map("egress", R"(["172.16.0.2", {"goto": {"target": "egress_allowlist"}}])") + "," +
              map("published", R"([{"concat": ["tcp", 8080]}, {"concat": ["172.16.0.2", 80]}])") + "," +
              map("published_at", R"([{"concat": ["127.0.0.1", "udp", 5353]}, {"concat": ["172.16.0.2", 53]}])")));
  CHECK(elements.size() == 8);
  const auto vms = vms_of(elements);
  REQUIRE(vms.size() == 1);
  CHECK(vms.front() == VmPolicy{InterfaceName{"fcbr0-1"},
                                MacAddress::parse("02:fc:ac:10:00:02"),
                                Ipv4Address::parse("172.16.0.2"),
                                Egress::Allowlist,
                                {Destination::parse("10.0.0.0/8"), Destination::parse("192.0.2.7:443/tcp")},
                                ServiceAccess::All,
                                {Publication::parse("0.0.0.0:8080:80"), Publication::parse("5353:53/udp")}});
  CHECK(delete_command(InterfaceName{"fcbr0"}, elements.at(0)) ==
        "delete element inet fireclaw sources { \"fcbr0-1\" . 02:fc:ac:10:00:02 . 172.16.0.2 }\n");
  CHECK(delete_command(InterfaceName{"fcbr0"}, elements.at(3)) ==
        "delete element inet fireclaw allowed_networks { 172.16.0.2 . 10.0.0.0/8 }\n");
}

TEST_CASE("without a source there is no machine, but its elements are known") {
  const auto elements = read_elements(listing(set("clients", R"("172.16.0.2", "172.16.0.3")")));
  CHECK(elements.size() == 2);
  CHECK(vms_of(elements).empty());
}

TEST_CASE("what a name was answered with has an owner, and is not what a machine was given") {
  const auto elements = read_elements(
      listing(source + "," + set("named_ports", R"({"elem": {"val": {"concat": ["172.16.0.2", "192.0.2.7", "tcp", 443]},
                                                  "timeout": 300, "expires": 299}})")));
  REQUIRE(elements.size() == 2);
  CHECK(expires(elements[1]));
  CHECK_FALSE(expires(elements[0]));
  CHECK(elements[1].owner == Ipv4Address::parse("172.16.0.2"));
  CHECK(delete_command(InterfaceName{"fcbr0"}, elements[1]) ==
        "delete element inet fireclaw named_ports { 172.16.0.2 . 192.0.2.7 . tcp . 443 }\n");
  CHECK(vms_of(elements).front().allow.empty());
}

TEST_CASE("what a machine was given is deleted at once, but for what may expire meanwhile") {
  const auto address = Ipv4Address::parse("172.16.0.2");
  const InterfaceName bridge{"fcbr0"};
  const auto element = [](const char* set, const char* owner, std::vector<std::string> key) {
    return Element{"inet", set, std::move(key), {}, Ipv4Address::parse(owner)};
  };
  const std::vector<Element> elements{
      element("clients", "172.16.0.2", {"172.16.0.2"}),
      element("named_addresses", "172.16.0.2", {"172.16.0.2", "203.0.113.7"}),
      element("named_ports", "172.16.0.2", {"172.16.0.2", "203.0.113.7", "tcp", "443"}),
      element("clients", "172.16.0.3", {"172.16.0.3"}),
      element("rates", "172.16.0.2", {"172.16.0.2"}),
  };
  CHECK(delete_commands(bridge, address, elements) ==
        "delete element inet fireclaw clients { 172.16.0.2 }\ndelete element inet fireclaw rates { 172.16.0.2 }\n");
  CHECK(delete_commands(bridge, Ipv4Address::parse("172.16.0.4"), elements).empty());
}

TEST_CASE("a machine's rate is read as it was given") {
  const auto rate = [](const std::string& unit, const std::string& number = "5") {
    return set("rates", R"({"elem": {"val": "172.16.0.2", "limit": {"rate": )" + number +
                            R"(, "burst": 0, "per": "second", "inv": true, "rate_unit": ")" + unit + R"("}}})");
  };
  const auto elements = read_elements(listing(source + "," + rate("mbytes")));
  REQUIRE(elements.size() == 2);
  CHECK(vms_of(elements).front().mib_per_second == 5);
  CHECK(delete_command(InterfaceName{"fcbr0"}, elements[1]) == "delete element inet fireclaw rates { 172.16.0.2 }\n");
  CHECK(read_elements(listing(source + "," + rate("kbytes"))).size() == 1);
  // 0 would be no limit at all.
  CHECK(read_elements(listing(source + "," + rate("mbytes", "0"))).size() == 1);
}

TEST_CASE("what fireclaw did not put there is passed over") {
  for (const auto& object : {
           set("rates", R"("172.16.0.2")"),
           set("services", R"({"concat": ["tcp", 53]})"),
           set("talkers", R"("172.16.0.2")"),
           set("unheard_of", R"("172.16.0.2")"),
           set("clients", R"({"range": ["172.16.0.2", "172.16.0.9"]})"),
           set("clients", R"({"elem": {"val": "172.16.0.2", "timeout": 60}})"),
           set("allowed_ports", R"({"concat": ["172.16.0.2", "192.0.2.7", "sctp", 443]})"),
           set("allowed_ports", R"({"concat": ["172.16.0.2", "192.0.2.7", "tcp", {"range": [1, 9]}]})"),
           set("allowed_networks", R"({"concat": ["172.16.0.2"]})"),
           set("sources", R"({"concat": ["eth 0", "02:fc:ac:10:00:02", "172.16.0.2"]})"),
           map("egress", R"(["172.16.0.2", {"accept": null}])"),
           map("egress", R"(["172.16.0.2", {"goto": {"target": "elsewhere"}}])"),
           map("egress", R"(["172.16.0.2"])"),
           map("published", R"([{"concat": ["tcp", 8080]}, {"concat": ["here", 80]}])"),
           std::string{R"({"rule": {"family": "inet"}})"},
           std::string{R"({"set": {"family": "inet", "name": "clients"}})"},
       }) {
    CAPTURE(object);
    CHECK(read_elements(listing(object)).empty());
    CHECK(read_elements(listing(object + "," + source)).size() == 1);
  }
}

TEST_CASE("a text that is not a list is an error") {
  CHECK_THROWS_AS(read_elements("Error: syntax"), Error);
  CHECK_THROWS_AS(read_elements("{}"), Error);
}
