#include "net/firewall/packet_log.hpp"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <linux/netlink.h>

#include <string>

using namespace fireclaw;
using namespace fireclaw::net;

namespace {

std::string padded(std::string bytes) { return bytes.append((4 - bytes.size() % 4) % 4, '\0'); }

template <class T>
std::string raw(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

std::string attribute(std::uint16_t type, const std::string& content) {
  const nlattr header{static_cast<std::uint16_t>(NLA_HDRLEN + content.size()), type};
  return raw(header) + padded(content);
}

/// A message as the kernel makes it.
std::string message(const std::string& rule, std::uint16_t ethertype, const std::string& packet) {
  nfulnl_msg_packet_hdr hook{};
  hook.hw_protocol = htons(ethertype);
  const auto body = raw(nfgenmsg{}) + attribute(NFULA_PACKET_HDR, raw(hook)) +
                    attribute(NFULA_PREFIX, rule + std::string(1, '\0')) +
                    attribute(NFULA_IFINDEX_PHYSINDEV, raw(htonl(7))) + attribute(NFULA_PAYLOAD, packet);
  nlmsghdr header{};
  header.nlmsg_len = static_cast<std::uint32_t>(sizeof header + body.size());
  header.nlmsg_type = NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_PACKET;
  return raw(header) + body;
}

const std::string tcp_packet = {0x45,
                                0,
                                0,
                                60,
                                0,
                                0,
                                0x40,
                                0,
                                64,
                                6,
                                0,
                                0,
                                static_cast<char>(172),
                                16,
                                0,
                                2,
                                static_cast<char>(203),
                                0,
                                113,
                                7,
                                0x30,
                                0x39,
                                0x01,
                                static_cast<char>(0xBB),
                                0,
                                0,
                                0,
                                0};

}  // namespace

TEST_CASE("a refused packet is read out of what the kernel says of it") {
  const auto packet = read_logged_packet(message("allowlist", 0x0800, tcp_packet));
  REQUIRE(packet);
  CHECK(*packet ==
        RefusedPacket{"allowlist", Ipv4Address::parse("172.16.0.2"), Ipv4Address::parse("203.0.113.7"), "tcp", 443, 7});
  auto ping = tcp_packet;
  ping[9] = 1;
  CHECK(read_logged_packet(message("egress", 0x0800, ping))->protocol == "icmp");
  CHECK(read_logged_packet(message("egress", 0x0800, ping))->port == 0);
}

TEST_CASE("what a guest wrote into a packet cannot be read beyond it") {
  for (std::size_t size = 0; size < tcp_packet.size(); ++size) {
    const auto packet = read_logged_packet(message("egress", 0x0800, tcp_packet.substr(0, size)));
    CHECK(packet.has_value() == (size >= 20));
    if (packet) CHECK(packet->port == (size >= 24 ? 443 : 0));
  }
  auto long_header = tcp_packet;
  long_header[0] = 0x4F;
  CHECK(read_logged_packet(message("egress", 0x0800, long_header))->port == 0);
  auto fragment = tcp_packet;
  fragment[7] = 1;
  CHECK(read_logged_packet(message("egress", 0x0800, fragment))->port == 0);
  CHECK_FALSE(read_logged_packet(message("egress", 0x86DD, "\x60 and more of IPv6 than IPv4 has of it")));
  CHECK_FALSE(read_logged_packet(message("machine", 0x0806, tcp_packet.substr(0, 27))));
  const auto whole = message("egress", 0x0800, tcp_packet);
  for (std::size_t size = 0; size < whole.size(); ++size) CHECK_FALSE(read_logged_packet(whole.substr(0, size)));
}

TEST_CASE("a question for another machine's hardware address is one for that machine") {
  std::string arp(28, '\0');
  arp.replace(14, 4, "\xAC\x10\x00\x02", 4);
  arp.replace(24, 4, "\xAC\x10\x00\x03", 4);
  const auto packet = read_logged_packet(message("machine", 0x0806, arp));
  REQUIRE(packet);
  CHECK(packet->destination == Ipv4Address::parse("172.16.0.3"));
  CHECK(packet->protocol == "arp");
  // A machine that says that it is there.
  arp.replace(24, 4, "\xAC\x10\x00\x02", 4);
  CHECK_FALSE(read_logged_packet(message("machine", 0x0806, arp)));
}
