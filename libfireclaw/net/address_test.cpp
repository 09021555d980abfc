#include "net/address.hpp"

#include <doctest/doctest.h>

#include <string>

#include "fireclaw/error.hpp"
#include "net/interface_name.hpp"

using namespace fireclaw;
using namespace fireclaw::net;

TEST_CASE("an IPv4 address is read and written in dotted form") {
  CHECK(Ipv4Address::parse("172.16.0.1").bits() == 0xAC100001);
  CHECK(Ipv4Address::parse("255.255.255.255").to_string() == "255.255.255.255");
  CHECK(Ipv4Address::parse("0.0.0.0") < Ipv4Address::parse("0.0.0.1"));
}

TEST_CASE("what is not an IPv4 address is refused with its text") {
  for (const std::string text : {"", "1", "1.2.3", "1.2.3.", "1.2.3.4.", "1.2.3.4.5", "1.2.3.256", "01.2.3.4",
                                 "1.2.3.4 ", "1.2.3.-4", "1.2.3.+4", "a.b.c.d", "1..2.3", "::1", "99999999999.1.1.1"}) {
    CAPTURE(text);
    try {
      Ipv4Address::parse(text);
      FAIL("accepted");
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::InvalidArgument);
      CHECK(std::string{error.what()}.find("'" + text + "'") != std::string::npos);
    }
  }
}

TEST_CASE("a network knows what lies in it") {
  const auto net = Ipv4Network::parse("10.1.0.0/16");
  CHECK(net.last() == Ipv4Address::parse("10.1.255.255"));
  CHECK(net.contains(Ipv4Address::parse("10.1.2.3")));
  CHECK_FALSE(net.contains(Ipv4Address::parse("10.2.0.0")));
  CHECK(net.contains(Ipv4Network::parse("10.1.4.0/24")));
  CHECK_FALSE(net.contains(Ipv4Network::parse("10.0.0.0/8")));
  CHECK(net.overlaps(Ipv4Network::parse("10.0.0.0/8")));
  CHECK_FALSE(net.overlaps(Ipv4Network::parse("10.2.0.0/16")));
  CHECK(Ipv4Network::parse("0.0.0.0/0").contains(net));
  CHECK(Ipv4Network::parse("192.0.2.7").to_string() == "192.0.2.7/32");
  CHECK(Ipv4Network::around(Ipv4Address::parse("10.1.2.3"), 8).to_string() == "10.0.0.0/8");
}

TEST_CASE("a network with host bits is refused and the network that was meant is named") {
  try {
    Ipv4Network::parse("172.16.0.1/24");
    FAIL("accepted");
  } catch (const Error& error) {
    CHECK(std::string{error.what()}.find("172.16.0.0/24") != std::string::npos);
  }
  for (const auto* text : {"", "/24", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/8/8", "10.0.0/8"}) {
    CAPTURE(text);
    CHECK_THROWS_AS(Ipv4Network::parse(text), Error);
  }
}

TEST_CASE("a MAC is read, written and derived from the address it belongs to") {
  CHECK(MacAddress::parse("02:fc:AC:10:00:02").to_string() == "02:fc:ac:10:00:02");
  CHECK(MacAddress::for_address(Ipv4Address::parse("172.16.0.254")).to_string() == "02:fc:ac:10:00:fe");
  for (const auto* text : {"", "02:fc:ac:10:00", "02:fc:ac:10:00:0", "02:fc:ac:10:00:02:", "02-fc-ac-10-00-02",
                           "0x:fc:ac:10:00:02", "02:fc:ac:10:00:002", "2::fc:ac:10:00:02"}) {
    CAPTURE(text);
    CHECK_THROWS_AS(MacAddress::parse(text), Error);
  }
}

TEST_CASE("interface names are safe as path, kernel name and rule text") {
  CHECK(InterfaceName{"eth0.100"}.str() == "eth0.100");
  CHECK(InterfaceName{"a23456789012345"}.str().size() == 15);
  for (const auto* name :
       {"", "a234567890123456", "..", ".", "a/b", "a b", "a:1", "-a", "a\n", "a\"", "a*", "all", "default", "é"}) {
    CAPTURE(name);
    CHECK_THROWS_AS(InterfaceName{name}, Error);
  }
}

TEST_CASE("a tap's name starts with its bridge's and fits the kernel's limit") {
  const auto bridge = bridge_name("fcbr0");
  CHECK(tap_name(bridge, "0a1b2c3d4e5f").str() == "fcbr0-0a1b2c3d4");
  CHECK(tap_name(bridge_name("abcdefgh"), "0a1b2c3d4e5f").str() == "abcdefgh-0a1b2c");
  CHECK(random_tap_name(bridge).str().starts_with(tap_prefix(bridge)));
  CHECK(random_tap_name(bridge) != random_tap_name(bridge));
  CHECK_THROWS_AS(bridge_name("abcdefghi"), Error);
  CHECK_THROWS_AS(bridge_name("fc-br"), Error);
  CHECK_THROWS_AS(tap_name(bridge, "../x"), Error);
  CHECK_THROWS_AS(tap_name(bridge, ""), Error);
}
