// What the firewall does, shown with packets: guests behind veth pairs, a host, and an "internet" next to it.
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <functional>
#include <future>
#include <latch>
#include <string>
#include <vector>

#include "fireclaw/error.hpp"
#include "net/firewall/conntrack.hpp"
#include "net/links/sysctl.hpp"
#include "net/links/tap.hpp"
#include "net/testing/lab.hpp"
#include "net/testing/packets.hpp"
#include "sys/poll.hpp"

using namespace fireclaw;
using namespace fireclaw::net;
using namespace fireclaw::net::testing;

namespace {

const std::string gateway = "172.16.0.1";
const auto gateway_ip = Ipv4Address::parse(gateway);
const auto gateway_mac = MacAddress::for_address(gateway_ip);
constexpr std::uint16_t dns = 53;
constexpr std::uint16_t ethertype_ipv4 = 0x0800;
constexpr std::uint16_t ethertype_arp = 0x0806;
constexpr std::uint16_t ethertype_ipv6 = 0x86dd;

/// Everything that `guest` sent has been dealt with once this returns: a datagram sent after it has arrived. Nothing
/// sent before may have.
void settle(const Guest& guest, Udp& gateway_server) {
  Udp client{guest.inside, "0.0.0.0", 0};
  client.send(gateway, dns, "settled");
  CHECK(gateway_server.until("settled").empty());
}

/// Makes the guest's port an ordinary one, as if fireclaw had not closed it.
void open_port(const Lab& lab, const Guest& guest) {
  lab.host.in([&] {
    Netlink netlink;
    PortOptions open;
    open.isolated = false;
    open.learning = open.unicast_flood = open.multicast_flood = open.broadcast_flood = true;
    netlink.configure_port(netlink.get_link(guest.vm.tap).index, open);
  });
}

/// What arrives at `guest` from now on until a datagram that the host sends it last.
class Watch {
 public:
  explicit Watch(const Guest& guest) : guest_{guest}, wire_{guest.inside, "eth0"} {}
  std::vector<Frame> stop(Udp& gateway_server) {
    gateway_server.send(guest_.vm.address.to_string(), 9999, "end of watch");
    return wire_.until("end of watch");
  }

 private:
  const Guest& guest_;
  Wire wire_;
};

/// Whatever `a` could send that might reach `b`.
void send_everything(const Guest& a, const Guest& b) {
  const auto a_ip = a.vm.address;
  const auto b_ip = b.vm.address;
  const auto packet = [&](const std::string& to, const std::string& text) {
    return udp4(a_ip, 1000, Ipv4Address::parse(to), 7, text);
  };
  Wire wire{a.inside, "eth0"};
  wire.send(ethernet(b.vm.mac, a.vm.mac, ethertype_ipv4, packet("172.16.0.3", "unicast to the neighbour")));
  wire.send(ethernet(gateway_mac, a.vm.mac, ethertype_ipv4, packet("172.16.0.3", "routed to the neighbour")));
  wire.send(ethernet(everybody, a.vm.mac, ethertype_ipv4, packet("172.16.0.255", "subnet broadcast")));
  wire.send(ethernet(everybody, a.vm.mac, ethertype_ipv4, packet("255.255.255.255", "limited broadcast")));
  wire.send(ethernet(gateway_mac, a.vm.mac, ethertype_ipv4, packet("172.16.0.255", "broadcast through the gateway")));
  wire.send(
      ethernet(MacAddress::parse("01:00:5e:00:00:fb"), a.vm.mac, ethertype_ipv4, packet("224.0.0.251", "multicast")));
  wire.send(ethernet(everybody, a.vm.mac, ethertype_arp, arp(1, a.vm.mac, a_ip, MacAddress{}, b_ip)));
  wire.send(ethernet(b.vm.mac, a.vm.mac, ethertype_arp, arp(2, a.vm.mac, gateway_ip, b.vm.mac, b_ip)));
  wire.send(ethernet(b.vm.mac, a.vm.mac, 0x88b5, "a protocol of its own"));
  wire.send(ethernet(MacAddress::parse("01:80:c2:00:00:00"), a.vm.mac, 0x0026, "spanning tree"));
  wire.send(
      ethernet(b.vm.mac, a.vm.mac, ethertype_ipv6, ipv6("fe80::2", "fe80::3", 17, udp_header(1, 7, "IPv6 unicast"))));
  wire.send(ethernet(MacAddress::parse("33:33:00:00:00:01"), a.vm.mac, ethertype_ipv6,
                     ipv6("fe80::2", "ff02::1", 17, udp_header(1, 7, "IPv6 multicast"))));
}

/// The beginnings of frames in hexadecimal, for messages.
std::string dump(const std::vector<Frame>& frames) {
  std::string text;
  for (const auto& frame : frames) {
    for (const unsigned char byte : frame.substr(0, 60)) text += fmt::format("{:02x} ", byte);
    text += "\n";
  }
  return text;
}

/// Whether a frame is one that this machine may send to the host: IPv4 or ARP under its own two addresses.
bool is_honest(const Frame& frame, const VmPolicy& vm) {
  const auto honest_arp = [&](std::uint16_t operation) {
    const auto own =
        ethernet(everybody, vm.mac, ethertype_arp, arp(operation, vm.mac, vm.address, MacAddress{}, gateway_ip));
    return frame.substr(6, 26) == own.substr(6, 26);
  };
  const auto own = ethernet(gateway_mac, vm.mac, ethertype_ipv4, ipv4(vm.address, gateway_ip, 0, ""));
  const bool honest_packet = frame.substr(0, 14) == own.substr(0, 14) && frame.substr(26, 4) == own.substr(26, 4);
  return honest_arp(1) || honest_arp(2) || honest_packet;
}

/// Whether the gateway answers the guest's ping.
bool is_answered(const Guest& guest, Udp& gateway_server) {
  // An echo request with its checksum.
  const std::string request{"\x08\x00\xf7\xff\x00\x00\x00\x00", 8};
  Watch watch{guest};
  Wire{guest.inside, "eth0"}.send(
      ethernet(gateway_mac, guest.vm.mac, ethertype_ipv4, ipv4(guest.vm.address, gateway_ip, IPPROTO_ICMP, request)));
  settle(guest, gateway_server);
  const auto frames = watch.stop(gateway_server);
  constexpr std::size_t protocol_at = 23;
  constexpr std::size_t type_at = 34;
  return std::any_of(frames.begin(), frames.end(), [](const Frame& frame) {
    return frame.size() > type_at && frame[protocol_at] == IPPROTO_ICMP && frame[type_at] == ICMP_ECHOREPLY;
  });
}

bool any_contains(const std::vector<Frame>& frames, const std::string& text) {
  return std::any_of(frames.begin(), frames.end(), [&](const Frame& frame) { return frame.find(text) != Frame::npos; });
}

}  // namespace

TEST_CASE("a guest reaches the gateway's services and is refused its other ports") {
  Lab lab;
  auto& guest = lab.add_guest(2, Egress::None);
  const auto irc = listen_tcp(lab.host, "0.0.0.0", 6667);
  const auto ssh = listen_tcp(lab.host, "0.0.0.0", 22);
  Udp name_server{lab.host, "0.0.0.0", dns};
  Udp other_server{lab.host, "0.0.0.0", 69};

  CHECK(talk_tcp(guest.inside, gateway, 6667, irc.get(), "nick") == "NICK");
  CHECK(try_tcp(guest.inside, gateway, 22) == Outcome::Refused);

  Udp client{guest.inside, "0.0.0.0", 5353};
  client.send(gateway, 69, "not for guests");
  client.send(gateway, dns, "query");
  const auto query = name_server.receive();
  CHECK(query.from == "172.16.0.2");
  CHECK_FALSE(other_server.poll());
  name_server.send(query.from, query.port, "answer");
  CHECK(client.until("answer").empty());
}

TEST_CASE("a guest without services reaches nothing on the gateway, another guest does") {
  Lab lab;
  auto& without = lab.add_guest(2, Egress::None, [](VmPolicy& vm) { vm.services = ServiceAccess::None; });
  auto& with = lab.add_guest(3, Egress::None);
  const auto irc = listen_tcp(lab.host, "0.0.0.0", 6667);
  CHECK(try_tcp(without.inside, gateway, 6667) == Outcome::Refused);
  CHECK(try_tcp(with.inside, gateway, 6667) == Outcome::Connected);
}

TEST_CASE("the gateway answers a guest's ping, but not if services are all that the guest may reach") {
  Lab lab;
  auto& services_only = lab.add_guest(2, Egress::None);
  auto& other = lab.add_guest(3, Egress::Internet);
  Udp name_server{lab.host, "0.0.0.0", dns};
  CHECK_FALSE(is_answered(services_only, name_server));
  CHECK(is_answered(other, name_server));
}

TEST_CASE("a guest that may use names reaches the name server and no other service") {
  NetworkPolicy policy;
  policy.services.push_back(Service::parse("127.0.0.1:8000"));
  Lab lab{policy};
  auto& guest = lab.add_guest(2, Egress::None, [](VmPolicy& vm) { vm.services = ServiceAccess::Names; });
  lab.host.in([&] { allow_loopback(lab.bridge); });
  const auto irc = listen_tcp(lab.host, "0.0.0.0", 6667);
  const auto model = listen_tcp(lab.host, "127.0.0.1", 8000);
  const auto names_by_tcp = listen_tcp(lab.host, "0.0.0.0", dns);
  Udp name_server{lab.host, "0.0.0.0", dns};
  CHECK(try_tcp(guest.inside, gateway, 6667) == Outcome::Refused);
  CHECK(try_tcp(guest.inside, gateway, 8000) == Outcome::Refused);
  CHECK(try_tcp(guest.inside, gateway, dns) == Outcome::Connected);
  Udp client{guest.inside, "0.0.0.0", 0};
  client.send(gateway, dns, "query");
  CHECK(name_server.receive().text == "query");
}

TEST_CASE("a guest does not reach the host by its other addresses") {
  Lab lab;
  auto& guest = lab.add_guest(2, Egress::Internet);
  const auto irc = listen_tcp(lab.host, "0.0.0.0", 6667);
  CHECK(try_tcp(guest.inside, "198.51.100.1", 6667) == Outcome::Refused);
  CHECK(try_tcp(guest.inside, gateway, 6667) == Outcome::Connected);
}

TEST_CASE("the host reaches its guests") {
  Lab lab;
  auto& guest = lab.add_guest(2, Egress::None);
  const auto server = listen_tcp(guest.inside, "0.0.0.0", 22);
  CHECK(talk_tcp(lab.host, "172.16.0.2", 22, server.get(), "hello") == "HELLO");
}

TEST_CASE("guests cannot reach each other by any frame or packet") {
  Lab lab;
  const auto allow_all = [](VmPolicy& vm) { vm.allow = {Destination::parse("0.0.0.0/0")}; };
  auto& a = lab.add_guest(2, Egress::Internet, allow_all);
  auto& b = lab.add_guest(3, Egress::Internet, allow_all);
  // By turns each of the two barriers is taken away: the other must hold alone.
  SUBCASE("with isolation and firewall") {}
  SUBCASE("with the firewall alone") {
    open_port(lab, a);
    open_port(lab, b);
  }
  SUBCASE("with isolation alone, on the bridge") { nft(lab.host, "delete table bridge fireclaw"); }
  SUBCASE("on a host where bridged packets also pass iptables") {
    lab.host.in([&] {
      if (read_sysctl("bridge/bridge-nf-call-iptables")) set_sysctl("bridge/bridge-nf-call-iptables", "1");
    });
  }
  SUBCASE("while the host routes whatever it gets") {
    lab.host.in([&] { set_sysctl("ipv4/conf/fcbr0/send_redirects", "1"); });
  }

  Udp name_server{lab.host, "0.0.0.0", dns};
  Udp target{b.inside, "0.0.0.0", 7};
  Udp host_target{lab.host, "0.0.0.0", 7};
  Watch watch{b};
  send_everything(a, b);
  settle(a, name_server);
  const auto received = watch.stop(name_server);
  CHECK_MESSAGE(received.empty(), "the neighbour received:\n", dump(received));
  CHECK_FALSE(target.poll());
  CHECK_FALSE(host_target.poll());
  CHECK(try_tcp(a.inside, "172.16.0.1", 6667) == Outcome::Refused);  // the way to the gateway still works
}

TEST_CASE("without any barrier those same frames do arrive, so that their absence proves something") {
  Lab lab;
  auto& a = lab.add_guest(2, Egress::Internet);
  auto& b = lab.add_guest(3, Egress::Internet);
  lab.firewall->remove();
  open_port(lab, a);
  open_port(lab, b);
  Udp name_server{lab.host, "0.0.0.0", dns};
  Udp target{b.inside, "0.0.0.0", 7};
  Watch watch{b};
  send_everything(a, b);
  settle(a, name_server);
  const auto received = watch.stop(name_server);
  for (const auto* text :
       {"unicast to the neighbour", "routed to the neighbour", "subnet broadcast", "limited broadcast", "multicast",
        "a protocol of its own", "IPv6 unicast", "IPv6 multicast"}) {
    CAPTURE(text);
    CHECK(any_contains(received, text));
  }
  CHECK(target.receive().text == "unicast to the neighbour");
}

TEST_CASE("a guest that asks for a neighbour's MAC gets no answer, for the gateway's it does") {
  Lab lab;
  auto& a = lab.add_guest(2, Egress::None);
  lab.add_guest(3, Egress::None);
  // The kernel's habit of answering for any address it has, on whatever interface, is off; the firewall does not need
  // it.
  SUBCASE("as configured") {}
  SUBCASE("on a kernel that answers for all its addresses") {
    lab.host.in([] { set_sysctl("ipv4/conf/fcbr0/arp_ignore", "0"); });
  }
  Udp name_server{lab.host, "0.0.0.0", dns};
  Wire wire{a.inside, "eth0"};
  wire.send(ethernet(everybody, a.vm.mac, ethertype_arp,
                     arp(1, a.vm.mac, a.vm.address, MacAddress{}, Ipv4Address::parse("172.16.0.3"))));
  wire.send(ethernet(everybody, a.vm.mac, ethertype_arp,
                     arp(1, a.vm.mac, a.vm.address, MacAddress{}, Ipv4Address::parse("198.51.100.1"))));
  const auto answer =
      ethernet(a.vm.mac, gateway_mac, ethertype_arp, arp(2, gateway_mac, gateway_ip, a.vm.mac, a.vm.address));
  const auto request =
      ethernet(everybody, a.vm.mac, ethertype_arp, arp(1, a.vm.mac, a.vm.address, MacAddress{}, gateway_ip));
  CHECK(wire.ask(request, answer.substr(0, 42)).empty());
}

TEST_CASE("with egress none a guest reaches nothing outside") {
  Lab lab;
  auto& guest = lab.add_guest(2, Egress::None);
  const auto web = listen_tcp(lab.internet, "203.0.113.7", 443);
  CHECK(try_tcp(guest.inside, "203.0.113.7", 443) == Outcome::Refused);
  CHECK(try_tcp(lab.host, "203.0.113.7", 443) == Outcome::Connected);
}

TEST_CASE("with egress internet a guest reaches public addresses, under the host's address, and no private ones") {
  Lab lab;
  auto& guest = lab.add_guest(2, Egress::Internet);
  const auto web = listen_tcp(lab.internet, "0.0.0.0", 443);
  Udp server{lab.internet, "203.0.113.7", 123};
  CHECK(talk_tcp(guest.inside, "203.0.113.7", 443, web.get(), "get") == "GET");

  Udp client{guest.inside, "0.0.0.0", 0};
  client.send("203.0.113.7", 123, "time?");
  const auto request = server.receive();
  CHECK(request.from == "198.51.100.1");
  server.send(request.from, request.port, "noon");
  const auto reply = client.receive();
  CHECK(reply.text == "noon");
  CHECK(reply.from == "203.0.113.7");

  CHECK(try_tcp(guest.inside, "10.20.30.40", 443) == Outcome::Refused);
  CHECK(try_tcp(guest.inside, "192.168.77.7", 443) == Outcome::Refused);
}

TEST_CASE("an allowed private network is reached beside the internet, the metadata service never") {
  Lab lab;
  auto& guest = lab.add_guest(2, Egress::Internet, [](VmPolicy& vm) {
    vm.allow = {Destination::parse("10.20.0.0/16"), Destination::parse("192.168.77.7:80"),
                Destination::parse("169.254.0.0/16")};
  });
  const auto web = listen_tcp(lab.internet, "0.0.0.0", 443);
  const auto plain_web = listen_tcp(lab.internet, "0.0.0.0", 80);
  CHECK(try_tcp(guest.inside, "10.20.30.40", 443) == Outcome::Connected);
  CHECK(try_tcp(guest.inside, "192.168.77.7", 80) == Outcome::Connected);
  CHECK(try_tcp(guest.inside, "192.168.77.7", 443) == Outcome::Refused);
  CHECK(try_tcp(guest.inside, "203.0.113.7", 443) == Outcome::Connected);

  Udp metadata{lab.internet, "169.254.169.254", 80};
  Udp name_server{lab.host, "0.0.0.0", dns};
  Udp client{guest.inside, "0.0.0.0", 0};
  Udp public_server{lab.internet, "203.0.113.7", 123};
  client.send("169.254.169.254", 80, "credentials?");
  client.send("203.0.113.7", 123, "after");
  public_server.until("after");
  CHECK_FALSE(metadata.poll());
}

TEST_CASE("with an allowlist a guest reaches what is on it and nothing else") {
  Lab lab;
  auto& guest = lab.add_guest(2, Egress::Allowlist, [](VmPolicy& vm) {
    vm.allow = {Destination::parse("203.0.113.7:443"), Destination::parse("203.0.113.53:53/udp"),
                Destination::parse("10.20.0.0/16")};
  });
  auto& other = lab.add_guest(3, Egress::Allowlist);
  const auto web = listen_tcp(lab.internet, "0.0.0.0", 443);
  const auto plain_web = listen_tcp(lab.internet, "0.0.0.0", 80);
  const auto dns_over_tcp = listen_tcp(lab.internet, "0.0.0.0", 53);
  CHECK(try_tcp(guest.inside, "203.0.113.7", 443) == Outcome::Connected);
  CHECK(try_tcp(guest.inside, "203.0.113.7", 80) == Outcome::Refused);
  CHECK(try_tcp(guest.inside, "203.0.113.53", 443) == Outcome::Refused);
  CHECK(try_tcp(guest.inside, "203.0.113.53", 53) == Outcome::Refused);
  CHECK(try_tcp(guest.inside, "10.20.30.40", 80) == Outcome::Connected);
  CHECK(try_tcp(other.inside, "203.0.113.7", 443) == Outcome::Refused);

  Udp allowed{lab.internet, "203.0.113.53", 53};
  Udp forbidden{lab.internet, "203.0.113.7", 53};
  Udp client{guest.inside, "0.0.0.0", 0};
  client.send("203.0.113.7", 53, "no");
  client.send("203.0.113.53", 53, "yes");
  CHECK(allowed.receive().text == "yes");
  CHECK_FALSE(forbidden.poll());
}

TEST_CASE("nobody outside reaches a guest unasked, and nobody can pretend to be one") {
  Lab lab;
  auto& guest = lab.add_guest(2, Egress::Internet);
  Udp name_server{lab.host, "0.0.0.0", dns};
  Udp inside{guest.inside, "0.0.0.0", 7};
  Udp outside{lab.internet, "0.0.0.0", 0};
  Wire wire{lab.internet, "eth0"};
  const auto host_mac = lab.host.in([] { return Netlink{}.get_link(InterfaceName{"uplink"}).mac; });
  const auto own_mac = lab.internet.in([] { return Netlink{}.get_link(InterfaceName{"eth0"}).mac; });
  Udp host_end{lab.host, "198.51.100.1", 4000};
  Watch watch{guest};

  outside.send("172.16.0.2", 7, "unasked");
  wire.send(ethernet(host_mac, own_mac, ethertype_ipv4,
                     udp4(Ipv4Address::parse("172.16.0.3"), 1, gateway_ip, dns, "from a false guest")));
  wire.send(
      ethernet(host_mac, own_mac, ethertype_ipv4, udp4(gateway_ip, 1, guest.vm.address, 7, "from a false gateway")));
  outside.send("198.51.100.1", 4000, "end");
  host_end.until("end");

  CHECK(watch.stop(name_server).empty());
  CHECK_FALSE(inside.poll());
  CHECK_FALSE(name_server.poll());
}

TEST_CASE("a guest's packets never leave the host under its own address") {
  Lab lab;
  auto& guest = lab.add_guest(2, Egress::Internet);
  Udp server{lab.internet, "203.0.113.7", 123};
  Wire outside{lab.internet, "eth0"};
  Udp client{guest.inside, "0.0.0.0", 0};
  for (int i = 0; i < 20; ++i) client.send("203.0.113.7", 123, "packet");
  client.send("203.0.113.7", 123, "last packet");
  for (const auto& frame : outside.until("last packet")) {
    CHECK(frame.find(std::string{"\xac\x10\x00\x02", 4}) == Frame::npos);
  }
}

TEST_CASE("a guest that lies about its addresses is not heard at all") {
  Lab lab;
  auto& liar = lab.add_guest(2, Egress::Internet);
  auto& victim = lab.add_guest(3, Egress::Internet);
  Udp name_server{lab.host, "0.0.0.0", dns};
  Udp public_server{lab.internet, "203.0.113.7", 123};
  Wire wire{liar.inside, "eth0"};
  Wire bridge{lab.host, "fcbr0"};
  Watch watch{victim};
  const auto mac = liar.vm.mac;
  const auto ip = liar.vm.address;
  const auto other_ip = victim.vm.address;
  const auto public_ip = Ipv4Address::parse("203.0.113.7");
  const auto to_gateway = [&](Ipv4Address from) { return udp4(from, 1000, gateway_ip, dns, "lie"); };

  struct Lie {
    std::string name;
    Frame frame;
  };
  const std::vector<Lie> lies = {
      {"the neighbour's address", ethernet(gateway_mac, mac, ethertype_ipv4, to_gateway(other_ip))},
      {"the gateway's address", ethernet(gateway_mac, mac, ethertype_ipv4, to_gateway(gateway_ip))},
      {"a free address of the subnet",
       ethernet(gateway_mac, mac, ethertype_ipv4, to_gateway(Ipv4Address::parse("172.16.0.99")))},
      {"an outside address", ethernet(gateway_mac, mac, ethertype_ipv4, to_gateway(public_ip))},
      {"the host's loopback", ethernet(gateway_mac, mac, ethertype_ipv4, to_gateway(Ipv4Address::parse("127.0.0.1")))},
      {"no address", ethernet(gateway_mac, mac, ethertype_ipv4, to_gateway(Ipv4Address{}))},
      {"the neighbour's MAC", ethernet(gateway_mac, victim.vm.mac, ethertype_ipv4, to_gateway(ip))},
      {"the neighbour's MAC and address", ethernet(gateway_mac, victim.vm.mac, ethertype_ipv4, to_gateway(other_ip))},
      {"the gateway's MAC", ethernet(gateway_mac, gateway_mac, ethertype_ipv4, to_gateway(ip))},
      {"a MAC of its own choice",
       ethernet(gateway_mac, MacAddress::parse("02:00:00:00:00:01"), ethertype_ipv4, to_gateway(ip))},
      {"a multicast MAC as its own",
       ethernet(gateway_mac, MacAddress::parse("01:00:5e:00:00:01"), ethertype_ipv4, to_gateway(ip))},
      {"to a MAC that bridges handle specially",
       ethernet(MacAddress::parse("01:80:c2:00:00:0e"), mac, ethertype_ipv4, to_gateway(other_ip))},
      {"the same with an outside address",
       ethernet(MacAddress::parse("01:80:c2:00:00:0e"), mac, ethertype_ipv4, to_gateway(public_ip))},
      {"the same with its true address",
       ethernet(MacAddress::parse("01:80:c2:00:00:0e"), mac, ethertype_ipv4, to_gateway(ip))},
      {"to everybody's MAC", ethernet(everybody, mac, ethertype_ipv4, to_gateway(ip))},
      {"in a VLAN", with_vlan(ethernet(gateway_mac, mac, ethertype_ipv4, to_gateway(ip)), 5)},
      {"in the VLAN that counts as none",
       with_vlan(ethernet(gateway_mac, mac, ethertype_ipv4, to_gateway(other_ip)), 0)},
      {"outwards as the neighbour",
       ethernet(gateway_mac, mac, ethertype_ipv4, udp4(other_ip, 1000, public_ip, 123, "lie"))},
      {"ARP as the neighbour",
       ethernet(everybody, mac, ethertype_arp, arp(1, mac, other_ip, MacAddress{}, gateway_ip))},
      {"ARP as the gateway", ethernet(everybody, mac, ethertype_arp, arp(2, mac, gateway_ip, everybody, gateway_ip))},
      {"ARP with the neighbour's MAC inside",
       ethernet(everybody, mac, ethertype_arp, arp(1, victim.vm.mac, ip, MacAddress{}, gateway_ip))},
      {"ARP with the neighbour's MAC outside",
       ethernet(everybody, victim.vm.mac, ethertype_arp, arp(1, mac, ip, MacAddress{}, gateway_ip))},
      {"an ARP answer to the neighbour",
       ethernet(victim.vm.mac, mac, ethertype_arp, arp(2, mac, gateway_ip, victim.vm.mac, other_ip))},
      {"an ARP probe", ethernet(everybody, mac, ethertype_arp, arp(1, mac, Ipv4Address{}, MacAddress{}, other_ip))},
      {"ARP of an unknown kind", ethernet(everybody, mac, ethertype_arp, arp(9, mac, ip, MacAddress{}, gateway_ip))},
      {"reverse ARP", ethernet(everybody, mac, 0x8035, arp(3, mac, ip, mac, ip))},
      {"PPPoE", ethernet(gateway_mac, mac, 0x8863, "lie")},
  };
  for (const auto& lie : lies) {
    CAPTURE(lie.name);
    wire.send(lie.frame);
    settle(liar, name_server);
    CHECK_FALSE(public_server.poll());
  }
  Udp honest{liar.inside, "0.0.0.0", 0};
  honest.send(gateway, dns, "the truth");
  CHECK(name_server.until("the truth").empty());
  CHECK(watch.stop(name_server).empty());
  // Beyond the ports only honest frames were seen.
  honest.send(gateway, dns, "end of bridge watch");
  for (const auto& frame : bridge.until("end of bridge watch")) {
    CHECK_MESSAGE((is_honest(frame, liar.vm) || is_honest(frame, victim.vm)), dump({frame}));
    CHECK(frame.find("lie") == Frame::npos);
  }
  // The host still knows the right MAC of the victim.
  Udp victim_end{victim.inside, "0.0.0.0", 8000};
  name_server.send("172.16.0.3", 8000, "to the victim");
  CHECK(victim_end.receive().text == "to the victim");
}

TEST_CASE("a port whose machine the firewall does not know is closed") {
  Lab lab;
  auto& guest = lab.add_guest(2, Egress::Internet);
  Udp name_server{lab.host, "0.0.0.0", dns};
  settle(guest, name_server);
  auto& other = lab.add_guest(3, Egress::Internet);
  CHECK(lab.firewall->remove_vm(guest.vm));
  Udp client{guest.inside, "0.0.0.0", 0};
  client.send(gateway, dns, "from nobody");
  Udp known{other.inside, "0.0.0.0", 0};
  known.send(gateway, dns, "from a machine");
  CHECK(name_server.until("from a machine").empty());
}

TEST_CASE("what the host has to say goes over the bridge, never straight out of a port") {
  Lab lab;
  auto& guest = lab.add_guest(2, Egress::Internet);
  lab.host.in([&] {
    // As its kernel does with IPv6's multicast reports, or a program that was told of the interface.
    const sys::Fd socket{sys::check(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket")};
    const int yes = 1;
    const auto port = guest.vm.tap.str();
    sys::check(::setsockopt(socket.get(), SOL_SOCKET, SO_BROADCAST, &yes, sizeof yes), "SO_BROADCAST");
    sys::check(::setsockopt(socket.get(), SOL_SOCKET, SO_BINDTODEVICE, port.c_str(), port.size()), "SO_BINDTODEVICE");
    sockaddr_in everyone{};
    everyone.sin_family = AF_INET;
    everyone.sin_port = htons(7);
    everyone.sin_addr.s_addr = INADDR_BROADCAST;
    CHECK(::sendto(socket.get(), "hello", 5, 0, reinterpret_cast<const sockaddr*>(&everyone), sizeof everyone) == -1);
    CHECK(errno == EPERM);
  });
}

TEST_CASE("a guest has no IPv6: not to the host, not through it, not from it") {
  Lab lab;
  auto& guest = lab.add_guest(2, Egress::Internet);
  auto& other = lab.add_guest(3, Egress::Internet);
  // The worst case: IPv6 works everywhere else, the host routes it, and somebody turned it on for the bridge.
  lab.host.in([&] {
    set_sysctl("ipv6/conf/all/forwarding", "1");
    set_sysctl("ipv6/conf/fcbr0/disable_ipv6", "0");
    set_sysctl("ipv6/conf/fcbr0/accept_ra", "2");
  });
  Udp name_server{lab.host, "0.0.0.0", dns};
  open_port(lab, guest);
  open_port(lab, other);
  Wire wire{guest.inside, "eth0"};
  Wire bridge{lab.host, "fcbr0"};
  Wire outside{lab.internet, "eth0"};
  Watch watch{other};
  Watch own_watch{guest};
  const auto mac = guest.vm.mac;
  const auto all_nodes = MacAddress::parse("33:33:00:00:00:01");
  const std::string router_advertisement{"\x86\0\0\0\x40\0\x07\x08\0\0\0\0\0\0\0\0", 16};
  const std::string neighbour_solicitation{"\x87\0\0\0\0\0\0\0\xfe\x80\0\0\0\0\0\0\0\0\0\0\0\0\0\x01", 24};
  const std::vector<Frame> frames = {
      ethernet(all_nodes, mac, ethertype_ipv6, ipv6("fe80::2", "ff02::1", 58, router_advertisement)),
      ethernet(all_nodes, mac, ethertype_ipv6, ipv6("fe80::2", "ff02::1", 58, neighbour_solicitation)),
      ethernet(gateway_mac, mac, ethertype_ipv6, ipv6("fe80::2", "fe80::1", 17, udp_header(1, dns, "v6 to the host"))),
      ethernet(gateway_mac, mac, ethertype_ipv6,
               ipv6("2001:db8::2", "2001:db8:1::2", 17, udp_header(1, 7, "v6 routed"))),
      ethernet(gateway_mac, mac, ethertype_ipv6,
               ipv6("::ffff:172.16.0.2", "::ffff:203.0.113.7", 17, udp_header(1, 7, "v6 mapped"))),
      with_vlan(
          ethernet(gateway_mac, mac, ethertype_ipv6, ipv6("fe80::2", "fe80::1", 17, udp_header(1, 7, "v6 in a VLAN"))),
          0),
  };
  for (const auto& frame : frames) wire.send(frame);
  settle(guest, name_server);
  bridge.send(ethernet(all_nodes, gateway_mac, ethertype_ipv6,
                       ipv6("fe80::1", "ff02::1", 17, udp_header(1, 7, "v6 from the host to its guests"))));
  Udp client{guest.inside, "0.0.0.0", 0};
  client.send(gateway, dns, "end of v6");
  name_server.until("end of v6");
  CHECK_FALSE(any_contains(bridge.until("end of v6"), "\x86\xdd"));
  // What the host itself has to say by IPv6 on the bridge (it has an address there now) stays there too.
  CHECK_FALSE(any_contains(watch.stop(name_server), "\x86\xdd"));
  CHECK_FALSE(any_contains(own_watch.stop(name_server), "\x86\xdd"));
  client.send("203.0.113.7", 7, "v4 after v6");
  CHECK_FALSE(any_contains(outside.until("v4 after v6"), "v6 "));
}

TEST_CASE("a published port leads from outside and from the host to the guest, others stay closed") {
  Lab lab;
  auto& guest = lab.add_guest(2, Egress::None, [](VmPolicy& vm) {
    vm.publish = {Publication::parse("0.0.0.0:8080:80"), Publication::parse("2222:22"),
                  Publication::parse("0.0.0.0:5353:53/udp")};
  });
  lab.host.in([&] { allow_loopback(lab.bridge); });
  const auto web = listen_tcp(guest.inside, "0.0.0.0", 80);
  const auto ssh = listen_tcp(guest.inside, "0.0.0.0", 22);
  CHECK(talk_tcp(lab.internet, "198.51.100.1", 8080, web.get(), "outside") == "OUTSIDE");
  CHECK(talk_tcp(lab.host, "198.51.100.1", 8080, web.get(), "host") == "HOST");
  CHECK(talk_tcp(lab.host, "127.0.0.1", 8080, web.get(), "localhost") == "LOCALHOST");
  CHECK(talk_tcp(lab.host, "127.0.0.1", 2222, ssh.get(), "ssh") == "SSH");
  CHECK(try_tcp(lab.internet, "198.51.100.1", 2222) == Outcome::Refused);
  CHECK(try_tcp(lab.internet, "198.51.100.1", 80) == Outcome::Refused);

  Udp server{guest.inside, "0.0.0.0", 53};
  Udp client{lab.internet, "198.51.100.2", 0};
  client.send("198.51.100.1", 5353, "query");
  const auto query = server.receive();
  CHECK(query.from == "198.51.100.2");
  server.send(query.from, query.port, "answer");
  const auto answer = client.receive();
  CHECK(answer.text == "answer");
  CHECK(answer.from == "198.51.100.1");

  lab.host.in([&] { lab.firewall->remove_vm(guest.vm); });
  CHECK(try_tcp(lab.internet, "198.51.100.1", 8080) == Outcome::Refused);
}

TEST_CASE("a guest does not reach another's published port") {
  Lab lab;
  lab.add_guest(2, Egress::None, [](VmPolicy& vm) { vm.publish = {Publication::parse("0.0.0.0:8080:80")}; });
  auto& other = lab.add_guest(3, Egress::Internet);
  CHECK(try_tcp(other.inside, gateway, 8080) == Outcome::Refused);
  CHECK(try_tcp(other.inside, "198.51.100.1", 8080) == Outcome::Refused);
}

TEST_CASE("a service on the host's loopback is reached at the gateway, the rest of the loopback is not") {
  NetworkPolicy policy;
  policy.services.push_back(Service::parse("127.0.0.1:8000"));
  policy.services.push_back(Service::parse("127.0.0.1:8001/udp"));
  Lab lab{policy};
  auto& guest = lab.add_guest(2, Egress::None);
  auto& without = lab.add_guest(3, Egress::None, [](VmPolicy& vm) { vm.services = ServiceAccess::None; });
  lab.host.in([&] { allow_loopback(lab.bridge); });
  const auto model = listen_tcp(lab.host, "127.0.0.1", 8000);
  const auto secret = listen_tcp(lab.host, "127.0.0.1", 9000);
  Udp secret_udp{lab.host, "127.0.0.1", 8001};
  CHECK(talk_tcp(guest.inside, gateway, 8000, model.get(), "chat") == "CHAT");
  CHECK(try_tcp(guest.inside, gateway, 9000) == Outcome::Refused);
  CHECK(try_tcp(without.inside, gateway, 8000) == Outcome::Refused);

  Udp name_server{lab.host, "0.0.0.0", dns};
  Wire wire{guest.inside, "eth0"};
  wire.send(ethernet(gateway_mac, guest.vm.mac, ethertype_ipv4,
                     udp4(guest.vm.address, 1, Ipv4Address::parse("127.0.0.1"), 8001, "straight to the loopback")));
  settle(guest, name_server);
  CHECK_FALSE(secret_udp.poll());
}

TEST_CASE("name queries to the gateway reach the port that answers them, and only by way of port 53") {
  NetworkPolicy policy;
  policy.names_port = 10053;
  Lab lab{policy};
  auto& guest = lab.add_guest(2, Egress::None, [](VmPolicy& vm) { vm.services = ServiceAccess::Names; });
  auto& without = lab.add_guest(3, Egress::None, [](VmPolicy& vm) { vm.services = ServiceAccess::None; });
  Udp server{lab.host, gateway, 10053};
  Udp own{lab.host, "0.0.0.0", dns};
  const auto by_tcp = listen_tcp(lab.host, gateway, 10053);
  Udp client{guest.inside, "0.0.0.0", 0};
  client.send(gateway, dns, "where is example.org?");
  const auto query = server.receive();
  CHECK(query.text == "where is example.org?");
  CHECK(query.from == guest.vm.address.to_string());
  server.send(query.from, query.port, "there");
  const auto answer = client.receive();
  CHECK(answer.from == gateway);
  CHECK(answer.port == dns);
  CHECK(answer.text == "there");
  CHECK(talk_tcp(guest.inside, gateway, dns, by_tcp.get(), "question") == "QUESTION");
  CHECK(try_tcp(guest.inside, gateway, 10053) == Outcome::Refused);
  CHECK(try_tcp(without.inside, gateway, dns) == Outcome::Refused);

  // A name server of the host's own is not opened by that.
  client.send(gateway, 10053, "directly");
  client.send(gateway, dns, "again");
  CHECK(server.until("again").empty());
  CHECK_FALSE(own.poll());
}

TEST_CASE("no end sends segments that the way out does not take, also if nobody says so") {
  constexpr int headers = 40;
  constexpr unsigned mtu = 1400;
  Lab lab;
  auto& guest = lab.add_guest(2, Egress::Internet);
  const auto server = listen_tcp(lab.internet, "203.0.113.7", 80);
  lab.host.in([&] {
    Netlink netlink;
    netlink.set_mtu(netlink.get_link(InterfaceName{"uplink"}).index, mtu);
    ensure_bridge(lab.bridge, lab.folder.path() / "network.json");
  });
  const auto [from_guest, from_server] = segment_sizes(guest.inside, "203.0.113.7", 80, server.get());
  CHECK(from_guest <= static_cast<int>(mtu) - headers);
  CHECK(from_server <= static_cast<int>(mtu) - headers);
}

TEST_CASE("a guest makes no more new connections in a second than it may") {
  NetworkPolicy policy;
  policy.new_connections_per_second = 5;
  Lab lab{policy};
  auto& guest = lab.add_guest(2, Egress::None);
  Udp name_server{lab.host, "0.0.0.0", dns};
  Udp established{guest.inside, "0.0.0.0", 0};
  established.send(gateway, dns, "first");
  const auto first = name_server.receive();
  name_server.send(first.from, first.port, "go on");
  established.until("go on");
  const auto start = std::chrono::steady_clock::now();
  std::vector<Udp> clients;
  for (int i = 0; i < 200; ++i) {
    clients.emplace_back(guest.inside, "0.0.0.0", 0);
    clients.back().send(gateway, dns, "new");
  }
  established.send(gateway, dns, "end");
  const auto passed = name_server.until("end").size();
  const auto seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  CHECK(passed >= 1);
  CHECK(static_cast<double>(passed) <= 5 + 5 * seconds + 1);
}

TEST_CASE("a guest has no more connections at once than it may, others are not held to them") {
  NetworkPolicy policy;
  policy.connections = 8;
  Lab lab{policy};
  auto& guest = lab.add_guest(2, Egress::None);
  auto& other = lab.add_guest(3, Egress::None);
  Udp name_server{lab.host, "0.0.0.0", dns};
  Udp established{guest.inside, "0.0.0.0", 0};
  established.send(gateway, dns, "first");
  const auto first = name_server.receive();
  name_server.send(first.from, first.port, "answer");
  established.until("answer");
  std::vector<Udp> clients;
  for (int i = 0; i < 20; ++i) {
    clients.emplace_back(guest.inside, "0.0.0.0", 0);
    clients.back().send(gateway, dns, "one of many");
  }
  established.send(gateway, dns, "end");
  CHECK(name_server.until("end").size() == 7);
  Udp neighbour{other.inside, "0.0.0.0", 0};
  neighbour.send(gateway, dns, "another's");
  CHECK(name_server.receive().text == "another's");
}

TEST_CASE("a guest sends and receives no more in a second than it may, others are not held to it") {
  constexpr std::size_t mib = std::size_t{1} << 20;
  constexpr std::uint16_t port = 4000;
  const auto* const address = "203.0.113.7";
  Lab lab;
  Udp server{lab.internet, address, port};
  const auto add = [&](unsigned number, unsigned mib_per_second) {
    const auto limit = [&](VmPolicy& vm) { vm.mib_per_second = mib_per_second; };
    auto& guest = lab.add_guest(number, Egress::Internet, limit);
    return Udp{guest.inside, "0.0.0.0", 0};
  };
  auto sender = add(2, 1);
  auto receiver = add(3, 1);
  auto other = add(4, 0);
  const std::string kilobyte(1000, 'x');
  /// One datagram after the other, as long as each comes through.
  const auto send_slowly = [&](Udp& from, Udp& to, const std::string& where, std::uint16_t to_port, std::size_t bytes) {
    for (std::size_t sent = 0; sent < bytes; sent += kilobyte.size()) {
      from.send(where, to_port, kilobyte);
      REQUIRE(to.receive().text == kilobyte);
    }
  };
  const auto check_held = [&](Udp& from, Udp& to, const std::string& where, std::uint16_t to_port) {
    const auto start = std::chrono::steady_clock::now();
    send_slowly(from, to, where, to_port, mib / 2);
    std::size_t passed = mib / 2;
    for (std::size_t sent = 0; sent < 4 * mib; sent += kilobyte.size()) {
      from.send(where, to_port, kilobyte);
      while (const auto got = to.poll()) passed += got->text.size();
    }
    const auto seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    // What has not been used of the last second comes on top.
    CHECK(static_cast<double>(passed) < (1.5 + seconds) * mib);
  };
  /// What has been answered is not one new connection after the other.
  const auto meet = [&](Udp& guest) {
    guest.send(address, port, "hello");
    auto hello = server.receive();
    server.send(hello.from, hello.port, "welcome");
    guest.until("welcome");
    return hello;
  };
  meet(sender);
  check_held(sender, server, address, port);
  meet(other);
  send_slowly(other, server, address, port, 2 * mib);
  const auto met = meet(receiver);
  check_held(server, receiver, met.from, met.port);
}

TEST_CASE("the next holder of an address does not inherit connections, and a machine with fewer rights loses its own") {
  Lab lab;
  auto& guest = lab.add_guest(2, Egress::Internet);
  Udp server{lab.internet, "203.0.113.7", 123};
  Udp client{guest.inside, "0.0.0.0", 4000};
  client.send("203.0.113.7", 123, "hello");
  const auto hello = server.receive();
  server.send(hello.from, hello.port, "welcome");
  CHECK(client.receive().text == "welcome");

  Udp name_server{lab.host, "0.0.0.0", dns};
  Udp host_end{lab.host, "198.51.100.1", 4001};
  auto restricted = guest.vm;
  restricted.egress = Egress::None;
  SUBCASE("a machine with fewer rights") { lab.firewall->add_vm(restricted); }
  SUBCASE("another machine") {
    CHECK(lab.firewall->remove_vm(guest.vm));
    lab.firewall->add_vm(restricted);
  }
  SUBCASE("another machine, after somebody removed what the rules had of the first") {
    nft(lab.host,
        "flush set bridge fireclaw sources; flush map inet fireclaw egress; flush set inet fireclaw clients; "
        "flush set inet fireclaw name_clients");
    CHECK_FALSE(lab.firewall->remove_vm(guest.vm));
    lab.firewall->add_vm(restricted);
  }
  SUBCASE("another machine, after a reconciliation") { lab.firewall->reconcile(std::vector{restricted}); }
  server.send(hello.from, hello.port, "still there?");
  server.send("198.51.100.1", 4001, "end");
  host_end.until("end");
  name_server.send("172.16.0.2", 4000, "the last");
  CHECK(client.until("the last").empty());
  client.send("203.0.113.7", 123, "still here");
  client.send(gateway, dns, "after it");
  name_server.until("after it");
  CHECK_FALSE(server.poll());
}

TEST_CASE("a connection that has ended by itself meanwhile is forgotten as well") {
  const Lab lab;
  constexpr std::size_t count = 2000;
  constexpr int programs = 4;
  Udp client{lab.host, "127.0.0.1", 4000};
  for (std::size_t i = 0; i < count; ++i) client.send("127.0.0.1", static_cast<std::uint16_t>(20000 + i), "hello");
  std::latch ready{programs};
  std::vector<std::future<std::size_t>> forgotten;
  for (int i = 0; i < programs; ++i) {
    forgotten.push_back(std::async(std::launch::async, [&] {
      return lab.host.in([&] {
        Conntrack table;
        ready.arrive_and_wait();
        return table.forget(Ipv4Address::parse("127.0.0.1"));
      });
    }));
  }
  std::size_t all = 0;
  for (auto& each : forgotten) all += each.get();
  CHECK(all == count);
}

TEST_CASE("a tap works like any other port: frames out of its descriptor and into it") {
  Lab lab;
  const auto address = Ipv4Address::parse("172.16.0.9");
  const auto mac = MacAddress::for_address(address);
  auto tap = lab.host.in([&] { return Tap::create(tap_name(lab.bridge.name, "9")); });
  lab.host.in([&] {
    lab.firewall->add_vm({tap.name(), mac, address, Egress::Internet, {}, ServiceAccess::All, {}});
    attach_port(lab.bridge, tap.name(), address);
  });
  const std::string header(10, '\0');
  const auto send = [&](const Frame& frame) { sys::write_all(tap.fd(), header + frame); };
  Udp name_server{lab.host, "0.0.0.0", dns};
  send(ethernet(gateway_mac, mac, ethertype_ipv4,
                udp4(Ipv4Address::parse("172.16.0.10"), 1000, gateway_ip, dns, "lie")));
  send(ethernet(gateway_mac, mac, ethertype_ipv4, udp4(address, 1000, gateway_ip, dns, "query")));
  const auto query = name_server.receive();
  CHECK(query.text == "query");
  name_server.send(query.from, query.port, "answer");
  sys::require_fd(tap.fd(), POLLIN, Deadline::after(std::chrono::nanoseconds{patience}), "the answer");
  std::array<std::byte, 2048> buffer{};
  const auto size = sys::read_some(tap.fd(), buffer);
  const std::string frame{reinterpret_cast<const char*>(buffer.data()), static_cast<std::size_t>(size)};
  CHECK(frame.find("answer") != std::string::npos);
  CHECK(frame.substr(10, 12) == ethernet(mac, gateway_mac, 0, "").substr(0, 12));
}
