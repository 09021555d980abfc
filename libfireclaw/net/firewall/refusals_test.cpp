// What the firewall tells of what it refuses, shown with packets.
#include <doctest/doctest.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <string>
#include <vector>

#include "fireclaw/error.hpp"
#include "net/firewall/openings.hpp"
#include "net/firewall/packet_log.hpp"
#include "net/testing/lab.hpp"
#include "net/testing/packets.hpp"
#include "sys/poll.hpp"
#include "sys/testing/outcome.hpp"

using namespace fireclaw;
using namespace fireclaw::net;
using namespace fireclaw::net::testing;
using sys::testing::error_of;

namespace {

const InterfaceName the_bridge{"fcbr0"};
const auto gateway_mac = MacAddress::for_address(Ipv4Address::parse("172.16.0.1"));

class Fixture {
 public:
  /// What is refused until a packet by `rule` was.
  std::vector<RefusedPacket> until(std::string_view rule) {
    std::vector<RefusedPacket> seen;
    for (;;) {
      sys::require_fd(log_.fd(), POLLIN, Deadline::after(patience), "a refusal");
      for (auto& packet : log_.read()) seen.push_back(std::move(packet));
      if (std::ranges::any_of(seen, [&](const auto& packet) { return packet.rule == rule; })) return seen;
    }
  }
  RefusedPacket one(std::string_view rule) {
    auto seen = until(rule);
    return *std::ranges::find(seen, rule, &RefusedPacket::rule);
  }
  /// The same of a packet that is routed: its tap is known only where the bridge hands packets to the firewall itself.
  RefusedPacket routed(std::string_view rule) {
    auto packet = one(rule);
    packet.tap_index = 0;
    return packet;
  }
  Lab& lab() { return lab_; }
  PacketLog& log() { return log_; }

 private:
  Lab lab_;
  PacketLog log_{the_bridge, lab_.host.in([] { return PacketLog::open_socket(); })};
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "each refusal is told with its rule, machine and destination") {
  auto& closed = lab().add_guest(2, Egress::None);
  auto& listed = lab().add_guest(3, Egress::Allowlist);
  auto& open = lab().add_guest(4, Egress::Internet);
  const auto web = Ipv4Address::parse("203.0.113.7");
  CHECK(try_tcp(closed.inside, "203.0.113.7", 443) == Outcome::Refused);
  CHECK(routed("egress") == RefusedPacket{"egress", closed.vm.address, web, "tcp", 443, 0});
  CHECK(try_tcp(listed.inside, "203.0.113.7", 80) == Outcome::Refused);
  CHECK(routed("allowlist") == RefusedPacket{"allowlist", listed.vm.address, web, "tcp", 80, 0});
  CHECK(try_tcp(open.inside, "10.20.30.40", 22) == Outcome::Refused);
  CHECK(routed("private") ==
        RefusedPacket{"private", open.vm.address, Ipv4Address::parse("10.20.30.40"), "tcp", 22, 0});
  CHECK(try_tcp(open.inside, "172.16.0.1", 22) == Outcome::Refused);
  CHECK(one("service").destination == Ipv4Address::parse("172.16.0.1"));
  Udp client{open.inside, "0.0.0.0", 0};
  client.send("169.254.169.254", 80, "metadata");
  CHECK(one("reserved").destination == Ipv4Address::parse("169.254.169.254"));
}

TEST_CASE_FIXTURE(Fixture, "frames under another's address, and questions for other machines, are told with the tap") {
  auto& guest = lab().add_guest(2, Egress::Internet);
  auto& other = lab().add_guest(3, Egress::Internet);
  Wire wire{guest.inside, "eth0"};
  const auto web = Ipv4Address::parse("203.0.113.7");
  wire.send(ethernet(gateway_mac, guest.vm.mac, 0x0800, udp4(other.vm.address, 1000, web, 7, "not mine")));
  const auto spoofed = one("spoofed");
  CHECK(spoofed.source == other.vm.address);
  CHECK(spoofed.destination == web);
  CHECK(log().interface_name(spoofed.tap_index) == guest.vm.tap.str());
  wire.send(ethernet(everybody, guest.vm.mac, 0x0806, arp(1, guest.vm.mac, guest.vm.address, {}, other.vm.address)));
  const auto neighbour = one("machine");
  CHECK(neighbour.destination == other.vm.address);
  CHECK(log().interface_name(neighbour.tap_index) == guest.vm.tap.str());
}

TEST_CASE_FIXTURE(Fixture, "a machine that floods is told of at a pace, and another one is told of all the same") {
  auto& flooding = lab().add_guest(2, Egress::None);
  auto& other = lab().add_guest(3, Egress::None);
  Udp client{flooding.inside, "0.0.0.0", 0};
  const auto began = std::chrono::steady_clock::now();
  constexpr int flood = 2000;
  for (int i = 0; i < flood; ++i) client.send("203.0.113.7", static_cast<std::uint16_t>(i + 1), "flood");
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
  CHECK(try_tcp(other.inside, "203.0.113.7", 443) == Outcome::Refused);
  std::vector<RefusedPacket> seen;
  const auto from = [&](const Guest& guest) {
    return std::ranges::count(seen, guest.vm.address, &RefusedPacket::source);
  };
  while (from(other) == 0) {
    sys::require_fd(log().fd(), POLLIN, Deadline::after(patience), "a refusal");
    for (auto& packet : log().read()) seen.push_back(std::move(packet));
  }
  CHECK(from(flooding) > 0);
  CHECK(static_cast<double>(from(flooding)) <= 20 + 1 + 5 * (took.count() + 10));
  CHECK(from(flooding) < flood / 2);
}

TEST_CASE_FIXTURE(Fixture, "rights that are changed count at once, also for connections, and other connections stay") {
  auto& guest = lab().add_guest(2, Egress::Allowlist, [](VmPolicy& vm) {
    vm.allow = {Destination::parse("203.0.113.7"), Destination::parse("203.0.113.53:7/udp")};
  });
  Udp denied{lab().internet, "203.0.113.7", 7};
  Udp kept{lab().internet, "203.0.113.53", 7};
  Udp client{guest.inside, "0.0.0.0", 0};
  const auto exchange = [&](Udp& server, const char* address, const char* text) {
    client.send(address, 7, text);
    const auto got = server.receive();
    CHECK(got.text == text);
    server.send(got.from, got.port, "answer");
    CHECK(client.receive().text == "answer");
  };
  exchange(denied, "203.0.113.7", "first");
  exchange(kept, "203.0.113.53", "first");
  auto less = guest.vm;
  less.allow.erase(less.allow.begin());
  auto& firewall = *lab().firewall;
  firewall.change_vm(guest.vm, less, std::vector{Ipv4Network::parse("203.0.113.7/32")}, false);
  client.send("203.0.113.7", 7, "too late");
  CHECK(one("allowlist").destination == Ipv4Address::parse("203.0.113.7"));
  exchange(kept, "203.0.113.53", "second");
  CHECK_FALSE(denied.poll());
  CHECK_THROWS_WITH_AS(firewall.change_vm(guest.vm, less, {}, false), doctest::Contains("as it was"), Error);

  Openings openings{the_bridge, lab().host.in([] { return Openings::open_socket(); })};
  CHECK(openings.open(less, std::vector{Destination::parse("203.0.113.7:7/udp")}, std::chrono::hours{1}));
  exchange(denied, "203.0.113.7", "by name");
  // The connection outlives its opening.
  nft(lab().host, "flush set inet fireclaw named_ports");
  exchange(denied, "203.0.113.7", "after the opening");
  firewall.change_vm(less, less, {}, true);
  client.send("203.0.113.7", 7, "too late again");
  exchange(kept, "203.0.113.53", "third");
  CHECK_FALSE(denied.poll());
  CHECK(nft(lab().host, "list table inet fireclaw").find("203.0.113.7 ") == std::string::npos);
  firewall.change_vm(less, guest.vm, {}, false);
  exchange(denied, "203.0.113.7", "again");
  CHECK(firewall.vms().front().allow.size() == 2);
  REQUIRE(firewall.remove_vm(guest.vm.address));
  CHECK_THROWS_WITH_AS(firewall.change_vm(less, guest.vm, {}, false), doctest::Contains("as it was"), Error);
}

TEST_CASE("one program hears a bridge's refusals, and the next one when it has ended") {
  Lab lab;
  const auto open = [&] { return lab.host.in([] { return PacketLog::open_socket(); }); };
  {
    const PacketLog log{the_bridge, open()};
    const auto [code, text] = error_of([&] { static_cast<void>(PacketLog{the_bridge, open()}); });
    CHECK(code == ErrorCode::AlreadyExists);
    CHECK(text.find("nflog group") != std::string::npos);
    CHECK(text.ends_with(std::strerror(EBUSY)));
  }
  CHECK_NOTHROW(static_cast<void>(PacketLog{the_bridge, open()}));
}

TEST_CASE("a machine that has services only reaches the gateway's ports and nothing else") {
  Lab lab;
  auto& guest = lab.add_guest(2, Egress::None, [](VmPolicy& vm) { vm.services = ServiceAccess::All; });
  auto& neighbour = lab.add_guest(3, Egress::Internet);
  const auto irc = listen_tcp(lab.host, "172.16.0.1", 6667);
  const auto ssh = listen_tcp(lab.host, "172.16.0.1", 22);
  const auto web = listen_tcp(lab.internet, "203.0.113.7", 443);
  const auto of_neighbour = listen_tcp(neighbour.inside, "172.16.0.3", 443);
  CHECK(try_tcp(guest.inside, "172.16.0.1", 6667) == Outcome::Connected);

  Udp gateway_dns{lab.host, "172.16.0.1", 53};
  Wire outside{lab.internet, "eth0"};
  Wire beside{neighbour.inside, "eth0"};
  CHECK(try_tcp(guest.inside, "172.16.0.1", 22) == Outcome::Refused);
  CHECK(try_tcp(guest.inside, "203.0.113.7", 443) == Outcome::Refused);
  CHECK(try_tcp(guest.inside, "10.20.30.40", 443) == Outcome::Refused);
  CHECK(try_tcp(guest.inside, "198.51.100.1", 22) != Outcome::Connected);
  Wire wire{guest.inside, "eth0"};
  const auto to = [&](const char* address, std::uint16_t port) {
    wire.send(ethernet(gateway_mac, guest.vm.mac, 0x0800,
                       udp4(guest.vm.address, 1000, Ipv4Address::parse(address), port, "from the closed one")));
  };
  for (const auto* address : {"203.0.113.7", "203.0.113.53", "10.20.30.40", "169.254.169.254", "172.16.0.3",
                              "198.51.100.1", "198.51.100.2", "255.255.255.255", "224.0.0.251"}) {
    for (const std::uint16_t port : {53, 443, 6667}) to(address, port);
  }
  wire.send(
      ethernet(gateway_mac, guest.vm.mac, 0x0800,
               ipv4(guest.vm.address, Ipv4Address::parse("172.16.0.1"), 1, std::string("\x08\0\0\0\0\1\0\1", 8))));
  // All of it has been dealt with when this has come.
  Udp{guest.inside, "0.0.0.0", 0}.send("172.16.0.1", 53, "settled");
  CHECK(gateway_dns.until("settled").empty());
  Udp{lab.host, "0.0.0.0", 0}.send("203.0.113.7", 9, "end of watch");
  for (const auto& frame : outside.until("end of watch")) CHECK(frame.find("closed one") == Frame::npos);
  Udp{lab.host, "0.0.0.0", 0}.send("172.16.0.3", 9, "end of watch");
  for (const auto& frame : beside.until("end of watch")) CHECK(frame.find("closed one") == Frame::npos);
  static_cast<void>(irc), static_cast<void>(ssh), static_cast<void>(web), static_cast<void>(of_neighbour);
}
