#include "net/links/bridge.hpp"

#include <doctest/doctest.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/msg.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <functional>
#include <string>
#include <vector>

#include "fireclaw/error.hpp"
#include "net/firewall/probe.hpp"
#include "net/links/sysctl.hpp"
#include "net/links/tap.hpp"
#include "net/testing/lab.hpp"

using namespace fireclaw;
using namespace fireclaw::net;
using namespace fireclaw::net::testing;

namespace {

/// An empty host with loopback only.
struct EmptyHost {
  EmptyHost() {
    config.owner = "/home/somebody/.fireclaw";
    // A namespace begins with what the machine's own has set.
    set("ipv4/ip_forward", "0");
  }

  void ensure() const {
    host.in([&] { ensure_bridge(config, record); });
  }
  [[nodiscard]] bool remove() const {
    return host.in([&] { return remove_bridge(config, record); });
  }
  [[nodiscard]] std::optional<Link> bridge() const {
    return host.in([&] { return Netlink{}.find_link(config.name); });
  }
  [[nodiscard]] std::string sysctl(const std::string& name) const {
    return host.in([&] { return read_sysctl(name).value_or("none"); });
  }
  void set(const std::string& name, const std::string& value) const {
    host.in([&] { set_sysctl(name, value); });
  }
  /// The error that ensure() ends with.
  [[nodiscard]] std::string refusal(ErrorCode code = ErrorCode::InvalidState) const {
    try {
      ensure();
    } catch (const Error& error) {
      CHECK(error.code() == code);
      return error.what();
    }
    FAIL("the bridge was made");
    return {};
  }

  sys::TempDir folder{std::filesystem::temp_directory_path(), "fireclaw-bridge-"};
  std::filesystem::path record = folder.path() / "network.json";
  Namespace host;
  BridgeConfig config;
};

/// What the kernel said of an interface, in its order.
struct LinkChange {
  bool up;
  /// Said of a bridge's port.
  bool port;
  bool isolated;
};

sys::Fd watch_links() {
  sys::Fd socket{sys::check(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE), "socket")};
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = RTMGRP_LINK;
  sys::check(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), "bind");
  return socket;
}

/// It is told before the call that made the change returns.
std::vector<LinkChange> changes_of(int socket, int index) {
  std::vector<LinkChange> changes;
  alignas(nlmsghdr) std::array<char, 16384> bytes{};
  for (;;) {
    const auto got = ::recv(socket, bytes.data(), bytes.size(), 0);
    if (got < 0) return changes;
    auto left = static_cast<int>(got);
    for (auto* part = reinterpret_cast<nlmsghdr*>(bytes.data()); nlmsg_ok(part, left) != 0;
         part = nlmsg_next(part, &left)) {
      const auto* const about = static_cast<const ifinfomsg*>(nlmsg_data(part));
      if (part->nlmsg_type != RTM_NEWLINK || about->ifi_index != index) continue;
      LinkChange change{(about->ifi_flags & IFF_UP) != 0, false, false};
      if (about->ifi_family == AF_BRIDGE) {
        if (auto* const port = nlmsg_find_attr(part, sizeof(ifinfomsg), IFLA_PROTINFO)) {
          auto* const isolated = nla_find(static_cast<nlattr*>(nla_data(port)), nla_len(port), IFLA_BRPORT_ISOLATED);
          change.port = true;
          change.isolated = isolated != nullptr && nla_get_u8(isolated) != 0;
        }
      }
      changes.push_back(change);
    }
  }
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("the bridge is made as configured, and making it again changes nothing") {
  const EmptyHost f;
  f.ensure();
  const auto link = f.bridge();
  REQUIRE(link);
  CHECK(link->kind == "bridge");
  CHECK(link->up);
  CHECK(link->mtu == 1500);
  CHECK(link->mac == MacAddress::parse("02:fc:ac:10:00:01"));
  CHECK(link->alias == "fireclaw /home/somebody/.fireclaw");
  const auto addresses = f.host.in([] { return Netlink{}.addresses(); });
  CHECK(std::count(addresses.begin(), addresses.end(),
                   LinkAddress{link->index, Ipv4Address::parse("172.16.0.1"), 24}) == 1);
  CHECK(f.sysctl("ipv4/ip_forward") == "1");
  CHECK(f.sysctl("ipv6/conf/fcbr0/disable_ipv6") == "1");
  CHECK(f.sysctl("ipv6/conf/fcbr0/accept_ra") == "0");
  CHECK(f.sysctl("ipv4/conf/fcbr0/rp_filter") == "1");
  CHECK(f.sysctl("ipv4/conf/fcbr0/arp_ignore") == "1");
  CHECK(f.sysctl("ipv4/conf/fcbr0/proxy_arp") == "0");
  CHECK(f.sysctl("ipv4/conf/fcbr0/route_localnet") == "0");
  const auto before = state_of(f.host);
  f.ensure();
  CHECK(state_of(f.host) == before);
}

TEST_CASE("what was changed by hand is put right again") {
  const EmptyHost f;
  f.ensure();
  const auto before = state_of(f.host);
  f.host.in([&] {
    Netlink netlink;
    const auto index = netlink.get_link(f.config.name).index;
    netlink.set_mtu(index, 1280);
    netlink.set_mac(index, MacAddress::parse("02:00:00:00:00:07"));
    netlink.set_up(index, false);
  });
  f.set("ipv4/conf/fcbr0/proxy_arp", "1");
  f.ensure();
  CHECK(state_of(f.host) == before);
}

TEST_CASE("removing bridge and firewall leaves no trace") {
  EmptyHost f;
  SUBCASE("on a host that did not forward") { CHECK(f.sysctl("ipv4/ip_forward") == "0"); }
  SUBCASE("on a host that forwarded already") { f.set("ipv4/ip_forward", "1"); }
  SUBCASE("when forwarding is none of our business") { f.config.forwarding = false; }
  nft(f.host, "add table ip mine; add chain ip mine c { type filter hook forward priority 0; policy accept; }");
  const auto before = state_of(f.host);
  f.ensure();
  f.host.in([&] {
    Firewall firewall{{}, f.folder.path() / "lock"};
    firewall.ensure();
    const auto address = Ipv4Address::parse("172.16.0.2");
    const auto tap = Tap::create(tap_name(f.config.name, "2"));
    firewall.add_vm(
        {tap.name(), MacAddress::for_address(address), address, Egress::Internet, {}, ServiceAccess::All, {}});
    attach_port(f.config, tap.name(), address);
    CHECK(state_of(f.host) != before);
    detach_port(f.config, tap.name(), address);
    CHECK(firewall.remove());
  });
  CHECK(f.remove());
  CHECK(state_of(f.host) == before);
  CHECK_FALSE(std::filesystem::exists(f.record));
  CHECK_FALSE(f.remove());
}

TEST_CASE("forwarding is put back by another process too, but not in another namespace or after a reboot") {
  const EmptyHost f;
  f.ensure();
  auto record = sys::read_file(f.record);
  const auto replace = [&](const std::string& key, const std::string& value) {
    const auto at = record.find("\"" + key + "\"");
    const auto end = record.find_first_of(",\n", at);
    record.replace(at, end - at, "\"" + key + "\": " + value);
    sys::write_file_atomic(f.record, record);
  };
  std::string expected = "1";
  SUBCASE("as it is") { expected = "0"; }
  SUBCASE("of another boot") { replace("boot_id", "\"00000000-0000-0000-0000-000000000000\""); }
  SUBCASE("of another namespace") { replace("network_namespace", "1"); }
  CHECK(f.remove());
  CHECK(f.sysctl("ipv4/ip_forward") == expected);
}

TEST_CASE("a home folder that is used from two namespaces leaves both as they were") {
  const EmptyHost first;
  EmptyHost second;
  second.record = first.record;
  first.ensure();
  second.ensure();
  CHECK(second.remove());
  CHECK(second.sysctl("ipv4/ip_forward") == "0");
  CHECK(first.sysctl("ipv4/ip_forward") == "1");
  CHECK(first.remove());
  CHECK(first.sysctl("ipv4/ip_forward") == "0");
  CHECK_FALSE(std::filesystem::exists(first.record));
}

TEST_CASE("a record of a version that knew one namespace is read") {
  const EmptyHost f;
  f.ensure();
  auto record = sys::read_file(f.record);
  const auto others = record.find(",\n  \"others\"");
  REQUIRE(others != std::string::npos);
  sys::write_file_atomic(f.record, record.substr(0, others) + "\n}\n");
  CHECK(f.remove());
  CHECK(f.sysctl("ipv4/ip_forward") == "0");
}

TEST_CASE("a record that is torn or foreign is reported by its path and left alone") {
  const EmptyHost f;
  f.ensure();
  std::string content;
  SUBCASE("torn") { content = sys::read_file(f.record).substr(0, 20); }
  SUBCASE("another version") { content = R"({"schema": 7})"; }
  sys::write_file_atomic(f.record, content);
  try {
    (void)f.remove();
    FAIL("removed");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::Corrupt);
    CHECK(has(error.what(), f.record.string()));
  }
  CHECK(sys::read_file(f.record) == content);
}

TEST_CASE("a subnet that is in use elsewhere is refused by the name of the interface") {
  EmptyHost f;
  const Namespace other;
  connect(f.host, "eth7", other, "eth0");
  set_up(f.host, "eth7");
  set_up(other, "eth0");
  SUBCASE("as an address") {
    add_address(f.host, "eth7", "172.16.0.200/24");
    const auto text = f.refusal();
    CHECK(has(text, "172.16.0.200/24 of eth7"));
    CHECK(has(text, "choose another subnet"));
  }
  SUBCASE("within a larger network") {
    add_address(f.host, "eth7", "172.20.1.1/12");
    CHECK(has(f.refusal(), "172.20.1.1/12 of eth7"));
  }
  SUBCASE("as a part of ours") {
    add_address(f.host, "eth7", "172.16.0.129/30");
    CHECK(has(f.refusal(), "eth7"));
  }
  SUBCASE("as a route") {
    add_address(f.host, "eth7", "198.51.100.1/24");
    add_route(f.host, "172.16.0.0/16", "198.51.100.2");
    CHECK(has(f.refusal(), "the route to 172.16.0.0/16 on eth7"));
  }
  CHECK_FALSE(f.bridge());
  f.config.subnet = Ipv4Network::parse("10.99.0.0/24");
  f.config.gateway = Ipv4Address::parse("10.99.0.1");
  f.ensure();
}

TEST_CASE("the bridge's MTU is what the way out takes, and Ethernet's without one") {
  const Namespace host;
  const Namespace outside;
  CHECK(host.in([] { return way_out_mtu(Netlink{}.look_around()); }) == 1500);
  connect(host, "uplink", outside, "eth0");
  set_up(host, "uplink");
  set_up(outside, "eth0");
  add_address(host, "uplink", "198.51.100.2/24");
  const auto set_mtu = [&](unsigned mtu) {
    host.in([&] {
      Netlink netlink;
      netlink.set_mtu(netlink.get_link(InterfaceName{"uplink"}).index, mtu);
    });
  };
  set_mtu(1400);
  CHECK(host.in([] { return way_out_mtu(Netlink{}.look_around()); }) == 1500);
  add_route(host, "0.0.0.0/0", "198.51.100.1");
  CHECK(host.in([] { return way_out_mtu(Netlink{}.look_around()); }) == 1400);
  set_mtu(9000);
  CHECK(host.in([] { return way_out_mtu(Netlink{}.look_around()); }) == 1500);
}

TEST_CASE("default routes, also a VPN's in two halves, do not conflict") {
  const EmptyHost f;
  const Namespace other;
  connect(f.host, "eth7", other, "eth0");
  set_up(f.host, "eth7");
  set_up(other, "eth0");
  add_address(f.host, "eth7", "198.51.100.1/24");
  for (const auto* route : {"0.0.0.0/0", "0.0.0.0/1", "128.0.0.0/1"}) add_route(f.host, route, "198.51.100.2");
  f.ensure();
}

TEST_CASE("an interface of that name that is not ours is left alone") {
  EmptyHost f;
  const Namespace other;
  SUBCASE("no bridge") {
    connect(f.host, "fcbr0", other, "eth0");
    CHECK(has(f.refusal(), "is not a bridge but veth"));
  }
  SUBCASE("somebody's bridge") {
    f.host.in([] { Netlink{}.create_bridge(InterfaceName{"fcbr0"}, MacAddress::parse("02:00:00:00:00:01"), 1500); });
    CHECK(has(f.refusal(), "was not made by fireclaw"));
  }
  SUBCASE("somebody's bridge that looks like one of ours that was not finished, but is up") {
    f.host.in([&] {
      Netlink netlink;
      netlink.create_bridge(f.config.name, MacAddress::for_address(f.config.gateway), 1500);
      netlink.set_up(netlink.find_link(f.config.name)->index, true);
    });
    CHECK(has(f.refusal(), "was not made by fireclaw"));
  }
  SUBCASE("somebody's bridge that says so") {
    f.host.in([&] {
      Netlink netlink;
      netlink.create_bridge(f.config.name, MacAddress::for_address(f.config.gateway), 1500);
      netlink.set_alias(netlink.find_link(f.config.name)->index, "office");
    });
    CHECK(has(f.refusal(), "was not made by fireclaw"));
  }
  SUBCASE("another home's") {
    f.ensure();
    f.config.owner = "/home/somebody/else";
    CHECK(has(f.refusal(), "belongs to /home/somebody/.fireclaw"));
    CHECK_THROWS_AS((void)f.remove(), Error);
  }
  SUBCASE("ours with another subnet") {
    f.ensure();
    f.config.subnet = Ipv4Network::parse("10.99.0.0/24");
    f.config.gateway = Ipv4Address::parse("10.99.0.1");
    CHECK(has(f.refusal(), "has address 172.16.0.1/24 instead of 10.99.0.1/24"));
  }
  const auto before = state_of(f.host);
  (void)f.refusal();
  CHECK(state_of(f.host) == before);
}

TEST_CASE("two homes with long names are told apart") {
  EmptyHost f;
  f.config.owner = std::string(300, 'a');
  f.ensure();
  f.ensure();
  f.config.owner.back() = 'b';
  CHECK(has(f.refusal(), "belongs to sha256:"));
}

TEST_CASE("a bridge whose maker was killed half way is completed") {
  const EmptyHost f;
  f.host.in([&] { Netlink{}.create_bridge(f.config.name, MacAddress::for_address(f.config.gateway), 1500); });
  f.ensure();
  CHECK(f.bridge()->alias == "fireclaw /home/somebody/.fireclaw");
}

TEST_CASE("a gateway outside its subnet is refused") {
  EmptyHost f;
  f.config.gateway = Ipv4Address::parse("172.16.0.0");
  CHECK(has(f.refusal(ErrorCode::InvalidArgument), "cannot be the gateway"));
}

TEST_CASE("eight processes that make the bridge at once make one") {
  const EmptyHost f;
  std::vector<pid_t> children;
  for (int i = 0; i < 8; ++i) {
    const pid_t pid = ::fork();
    if (pid == 0) {
      int status = 1;
      try {
        f.ensure();
        status = 0;
      } catch (const std::exception& error) {
        ::dprintf(2, "%s\n", error.what());
      }
      ::_exit(status);
    }
    children.push_back(pid);
  }
  for (const auto pid : children) {
    int status = -1;
    REQUIRE(::waitpid(pid, &status, 0) == pid);
    CHECK(status == 0);
  }
  CHECK(f.bridge()->up);
}

TEST_CASE("a port takes part in nothing but what is pinned to it, and keeps the bridge from being removed") {
  const EmptyHost f;
  f.ensure();
  const auto address = Ipv4Address::parse("172.16.0.9");
  f.host.in([&] {
    const auto tap = Tap::create(tap_name(f.config.name, "9"));
    for (int round = 0; round < 2; ++round) {  // the second changes nothing
      attach_port(f.config, tap.name(), address);
      Netlink netlink;
      const auto link = netlink.get_link(tap.name());
      CHECK(link.up);
      CHECK(link.master == netlink.get_link(f.config.name).index);
      CHECK(netlink.port_options(link.index) == PortOptions{});
    }
    CHECK_THROWS_AS(remove_bridge(f.config, f.record), Error);
    detach_port(f.config, tap.name(), address);
    CHECK(Netlink{}.get_link(tap.name()).master == 0);
    attach_port(f.config, tap.name(), address);
  });
  // The tap is gone with its descriptor; what the host knew of its address goes too.
  f.host.in([&] {
    Netlink netlink;
    CHECK_FALSE(netlink.find_link(tap_name(f.config.name, "9")));
    detach_port(f.config, tap_name(f.config.name, "9"), address);
    CHECK_FALSE(netlink.unpin_neighbour(netlink.get_link(f.config.name).index, address));
    CHECK_THROWS_AS(attach_port(f.config, tap_name(f.config.name, "9"), address), Error);
  });
}

TEST_CASE("a port is not up before it is apart from the others") {
  const EmptyHost f;
  f.ensure();
  f.host.in([&] {
    const auto tap = Tap::create(tap_name(f.config.name, "9"));
    const auto index = Netlink{}.get_link(tap.name()).index;
    const auto watch = watch_links();
    attach_port(f.config, tap.name(), Ipv4Address::parse("172.16.0.9"));
    bool was_up = false;
    bool was_port = false;
    for (const auto& change : changes_of(watch.get(), index)) {
      was_up = was_up || change.up;
      was_port = was_port || change.port;
      if (change.port && !change.isolated) CHECK_FALSE(change.up);
      if (change.up) CHECK(was_port);
    }
    CHECK(was_up);
    CHECK(was_port);
  });
}

TEST_CASE("what is not a bridge's port cannot be kept apart, which is an error") {
  const EmptyHost f;
  f.ensure();
  f.host.in([&] {
    const auto tap = Tap::create(tap_name(f.config.name, "9"));
    Netlink netlink;
    const auto index = netlink.get_link(tap.name()).index;
    CHECK_THROWS_AS(netlink.configure_port(index, PortOptions{}), Error);
    CHECK_THROWS_AS(netlink.configure_port(index + 100, PortOptions{}), Error);
    CHECK_THROWS_AS(netlink.set_master(index, index), Error);
    CHECK_THROWS_AS(netlink.set_up(index + 100, true), Error);
    CHECK_THROWS_AS(netlink.set_mtu(index + 100, 1400), Error);
    CHECK_THROWS_AS(netlink.pin_mac(index, MacAddress::parse("02:00:00:00:00:09")), Error);
  });
}

TEST_CASE("without CAP_NET_ADMIN the error says so, and what to do instead") {
  const EmptyHost f;
  f.host.in([&] {
    CHECK(can_manage_network().ok());
    without_capabilities([&] {
      const auto ability = can_manage_network();
      REQUIRE_FALSE(ability.ok());
      CHECK(has(ability.obstacles.front().problem, "CAP_NET_ADMIN"));
      CHECK(has(ability.obstacles.front().remedy, "--net user"));
      try {
        ensure_bridge(f.config, f.record);
        FAIL("made without permission");
      } catch (const Error& error) {
        CHECK(error.code() == ErrorCode::PermissionDenied);
        CHECK(has(error.what(), "CAP_NET_ADMIN"));
      }
      try {
        Firewall{{}, f.folder.path() / "lock"}.ensure();
        FAIL("loaded without permission");
      } catch (const Error& error) {
        CHECK(error.code() == ErrorCode::PermissionDenied);
      }
    });
  });
  CHECK_FALSE(f.bridge());
}
