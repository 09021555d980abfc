#include "net/named_destination.hpp"

#include <doctest/doctest.h>

#include <string>

#include "fireclaw/error.hpp"

using namespace fireclaw;
using namespace fireclaw::net;

TEST_CASE("a named destination is read as it is written") {
  for (const auto* text :
       {"example.org", "example.org:443", "ns-1.example:53/udp", "*.example.org", "*.example:80/tcp"}) {
    CAPTURE(text);
    CHECK(NamedDestination::is_one(text));
    CHECK(NamedDestination::parse(text).to_string() == text);
  }
  CHECK(NamedDestination::parse("*.example.org:443") == NamedDestination{"*.example.org", 443, std::nullopt});
}

TEST_CASE("what has a wildcard elsewhere than in front, or an address in the place of a name, is refused") {
  for (const auto* text : {"*", "*.", "a.*.example", "*example.org", "*.*.example", "*.1", "192.0.2.7", "10.0.0.0/8",
                           "", "example.org:", "example.org:0", "example.org/24"}) {
    CAPTURE(text);
    CHECK_THROWS_AS(NamedDestination::parse(text), Error);
  }
}

TEST_CASE("a name is as long as names can be, and has labels as long as labels can be") {
  const std::string label(63, 'a');
  const auto three = label + "." + label + "." + label + ".";
  CHECK(NamedDestination::is_one(label + ".example"));
  CHECK_FALSE(NamedDestination::is_one(label + "a.example"));
  CHECK(NamedDestination::is_one(three + std::string(253 - three.size(), 'b')));
  CHECK(NamedDestination::is_one(three + std::string(253 - three.size(), 'b') + "."));
  CHECK_FALSE(NamedDestination::is_one(three + "b." + std::string(253 - three.size() - 1, 'b')));
  for (const auto* text : {"a..example", "-a.example", "a-.example", "a_b.example", "a.7", "."}) {
    CAPTURE(text);
    CHECK_FALSE(NamedDestination::is_one(text));
  }
}

TEST_CASE("a name means itself, and a wildcard every name below") {
  const auto name = NamedDestination::parse("Example.org:443");
  CHECK(name.matches("example.ORG"));
  CHECK(name.matches("example.org."));
  CHECK_FALSE(name.matches("www.example.org"));
  CHECK_FALSE(name.matches("example.org.evil.example"));
  const auto below = NamedDestination::parse("*.example.org");
  CHECK(below.matches("www.example.org"));
  CHECK(below.matches("a.b.Example.org."));
  CHECK_FALSE(below.matches("example.org"));
  CHECK_FALSE(below.matches(".example.org.evil"));
  CHECK_FALSE(below.matches("badexample.org"));
}

TEST_CASE("a name opens one address with its port") {
  const auto address = Ipv4Address::parse("203.0.113.7");
  CHECK(NamedDestination::parse("example.org:443/tcp").at(address) == Destination::parse("203.0.113.7:443/tcp"));
  CHECK(NamedDestination::parse("*.example.org").at(address) == Destination::parse("203.0.113.7"));
}
