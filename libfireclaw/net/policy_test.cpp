#include "net/policy.hpp"

#include <doctest/doctest.h>

#include <string>

#include "fireclaw/error.hpp"

using namespace fireclaw;
using namespace fireclaw::net;

TEST_CASE("services are read as they are written") {
  CHECK(Service::parse("6667") == Service{Protocol::Tcp, 6667, false});
  CHECK(Service::parse("53/udp") == Service{Protocol::Udp, 53, false});
  CHECK(Service::parse("127.0.0.1:11434") == Service{Protocol::Tcp, 11434, true});
  for (const auto* text : {"6667/tcp", "53/udp", "127.0.0.1:11434/tcp"})
    CHECK(Service::parse(text).to_string() == text);
  for (const auto* text : {"", "0", "65536", "irc", "6667/sctp", "1.2.3.4:5", "-1", "6667/"}) {
    CAPTURE(text);
    CHECK_THROWS_AS(Service::parse(text), Error);
  }
}

TEST_CASE("destinations are networks or addresses, with or without a port") {
  const auto network = Destination::parse("10.0.0.0/8");
  CHECK(network.network == Ipv4Network::parse("10.0.0.0/8"));
  CHECK_FALSE(network.port);
  const auto host = Destination::parse("192.0.2.7:443");
  CHECK(host.network.prefix() == 32);
  CHECK(host.port == 443);
  CHECK_FALSE(host.protocol);
  CHECK(Destination::parse("192.0.2.0/24:53/udp").protocol == Protocol::Udp);
  for (const auto* text : {"10.0.0.0/8", "192.0.2.7", "192.0.2.7:443", "192.0.2.0/24:53/udp", "0.0.0.0/0"}) {
    CHECK(Destination::parse(text).to_string() == text);
  }
  for (const auto* text :
       {"", "example.org:443", "10.0.0.1/8", "192.0.2.7:0", "192.0.2.7:99999", "192.0.2.7:", "192.0.2.7/udp", "::1"}) {
    CAPTURE(text);
    CHECK_THROWS_AS(Destination::parse(text), Error);
  }
}

TEST_CASE("published ports are read as they are written") {
  CHECK(Publication::parse("8080:80") == Publication{loopback_address, 8080, 80, Protocol::Tcp});
  CHECK(Publication::parse("127.0.0.1:8080:80/udp") ==
        Publication{Ipv4Address::parse("127.0.0.1"), 8080, 80, Protocol::Udp});
  CHECK(Publication::parse("5353:53/udp").to_string() == "5353:53/udp");
  CHECK(Publication::parse("127.0.0.1:8080:80").to_string() == "8080:80/tcp");
  CHECK(Publication::parse("0.0.0.0:8080:80").to_string() == "0.0.0.0:8080:80/tcp");
  for (const auto* text :
       {"", "80", "80:", ":80", "0:80", "80:0", "localhost:80:80", "1.2.3:80:80", "a:b", "80:80/icmp"}) {
    CAPTURE(text);
    CHECK_THROWS_AS(Publication::parse(text), Error);
  }
}

TEST_CASE("egress policies have names") {
  for (const auto egress : {Egress::None, Egress::Allowlist, Egress::Internet}) {
    CHECK(parse_egress(to_string(egress)) == egress);
  }
  CHECK_THROWS_AS(parse_egress("all"), Error);
}

TEST_CASE("public addresses are told from those that only their owners name") {
  for (const auto* address :
       {"1.1.1.1", "192.0.1.1", "168.63.129.17", "172.32.0.1", "100.63.255.255", "223.255.255.255"}) {
    CAPTURE(address);
    CHECK(is_public(Ipv4Address::parse(address)));
  }
  for (const auto* address :
       {"0.0.0.0", "10.1.2.3", "100.64.0.1", "127.0.0.1", "168.63.129.16", "169.254.169.254", "172.31.0.1",
        "192.0.0.192", "192.168.77.1", "198.18.0.1", "224.0.0.1", "255.255.255.255"}) {
    CAPTURE(address);
    CHECK_FALSE(is_public(Ipv4Address::parse(address)));
  }
}
