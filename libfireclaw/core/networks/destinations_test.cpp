#include "core/networks/destinations.hpp"

#include <doctest/doctest.h>

#include <fstream>
#include <string>

#include "fireclaw/error.hpp"
#include "sys/file.hpp"
#include "sys/testing/outcome.hpp"

using namespace fireclaw;
using core::NamedDestination;
using sys::testing::code_of;

TEST_CASE("a destination is an address or a name, with or without a port") {
  const auto named = [](const std::string& text) { return std::get<NamedDestination>(core::parse_allowed(text)); };
  CHECK(named("example.org") == NamedDestination{"example.org", std::nullopt, std::nullopt});
  CHECK(named("example.org:443") == NamedDestination{"example.org", 443, std::nullopt});
  CHECK(named("ns-1.example:53/udp") == NamedDestination{"ns-1.example", 53, net::Protocol::Udp});
  CHECK(named("localhost:1") == NamedDestination{"localhost", 1, std::nullopt});
  CHECK(named("4th.example.").host == "4th.example.");
  CHECK(named("*.example.org:443") == NamedDestination{"*.example.org", 443, std::nullopt});
  const auto plain = [](const std::string& text) {
    return std::get<net::Destination>(core::parse_allowed(text)).to_string();
  };
  for (const auto* text : {"10.0.0.0/8", "192.0.2.7:443", "192.0.2.0/24:53/udp"}) {
    CHECK(core::parse_allowed(text) == core::AllowedDestination{net::Destination::parse(plain(text))});
  }
}

TEST_CASE("what is not a destination is refused with its own words") {
  for (const auto& text :
       {std::string{}, std::string{"-a.example"}, std::string{"a..b"}, std::string{"a_b.example"}, std::string{"1.2.3"},
        std::string{"example.org:"}, std::string{"example.org:0x1"}, std::string{"example.org:70000"},
        std::string{"example.org:80/sctp"}, std::string{"example.org/24"}, std::string{"a b"}, std::string(64, 'a')}) {
    CAPTURE(text);
    CHECK(code_of([&] { core::parse_allowed(text); }) == ErrorCode::InvalidArgument);
  }
}

TEST_CASE("a name stands for its public addresses, each with the port that was named") {
  const auto address = [](const char* text) { return net::Ipv4Address::parse(text); };
  const NamedDestination named{"example.org", 443, net::Protocol::Tcp};
  const auto found = core::public_destinations(
      named, {address("192.168.77.1"), address("203.0.113.7"), address("169.254.169.254"), address("203.0.113.8")});
  CHECK(found ==
        std::vector{net::Destination::parse("203.0.113.7:443/tcp"), net::Destination::parse("203.0.113.8:443/tcp")});
}

TEST_CASE("a name opens nothing that is not public, and the refusal says what does") {
  for (const auto* text : {"192.168.77.1", "127.0.0.1", "169.254.169.254", "168.63.129.16", "192.0.0.192"}) {
    CAPTURE(text);
    const NamedDestination named{"rebound.example", std::nullopt, std::nullopt};
    const auto call = [&] { return core::public_destinations(named, {net::Ipv4Address::parse(text)}); };
    CHECK(code_of(call) == ErrorCode::PermissionDenied);
    CHECK_THROWS_WITH_AS(call(), doctest::Contains(text), Error);
  }
  CHECK(code_of([] { core::resolve(std::get<NamedDestination>(core::parse_allowed("localhost:443"))); }) ==
        ErrorCode::PermissionDenied);
}

TEST_CASE("the name server for machines is the first that is not the host's own affair") {
  const sys::TempDir folder{std::filesystem::temp_directory_path(), "resolver-test-"};
  const auto file = [&](const std::string& name, const std::string& content) {
    std::ofstream{folder.path() / name} << content;
    return folder.path() / name;
  };
  const auto stub = file("stub", "# made by somebody\nnameserver 127.0.0.53\noptions edns0\n");
  const auto mixed = file("mixed",
                          "search example\nnameserver 2001:db8::1\nnameserver nonsense\n"
                          "nameserver\t192.0.2.53 # main\nnameserver 192.0.2.54\n");
  const auto none = folder.path() / "missing";
  CHECK(core::find_resolver({stub, mixed})->to_string() == "192.0.2.53");
  CHECK(core::find_resolver({mixed, stub})->to_string() == "192.0.2.53");
  CHECK_FALSE(core::find_resolver({stub, none}));
  CHECK_FALSE(core::find_resolver({}));
}
