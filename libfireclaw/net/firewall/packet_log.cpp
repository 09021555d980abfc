#include "net/firewall/packet_log.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <linux/if_ether.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <new>
#include <utility>

#include "fireclaw/error.hpp"
#include "net/firewall/ruleset.hpp"

namespace fireclaw::net {
namespace {

/// Enough for the longest IPv4 header and the ports behind it, and for ARP.
constexpr std::uint32_t copied_bytes = 64;
constexpr std::size_t most_bytes = std::size_t{64} << 10;
constexpr int most_at_once = 64;

struct MessageDeleter {
  void operator()(nl_msg* message) const noexcept { nlmsg_free(message); }
};
using Message = std::unique_ptr<nl_msg, MessageDeleter>;

/// What came in, aligned for the structs in it.
struct Received {
  alignas(nlmsghdr) std::array<char, most_bytes> bytes;
};

/// Sends a change of the log's configuration; 0 or the error number that it is answered with.
template <class T>
int configure(int socket, std::uint16_t group, int attribute, const T& value) {
  const Message message{nlmsg_alloc_simple(NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_CONFIG, NLM_F_REQUEST | NLM_F_ACK)};
  nfgenmsg header{};
  header.nfgen_family = AF_UNSPEC;
  header.version = NFNETLINK_V0;
  header.res_id = htons(group);
  if (!message || nlmsg_append(message.get(), &header, sizeof header, NLMSG_ALIGNTO) < 0 ||
      nla_put(message.get(), attribute, sizeof value, &value) < 0) {
    throw std::bad_alloc{};
  }
  const auto* const raw = nlmsg_hdr(message.get());
  if (::send(socket, raw, raw->nlmsg_len, 0) < 0) return errno;
  // The kernel has answered when the message is sent. Packets can have come before the answer.
  const auto answer = std::make_unique<Received>();
  for (;;) {
    const auto got = ::recv(socket, answer->bytes.data(), answer->bytes.size(), MSG_DONTWAIT);
    if (got < 0 && (errno == EINTR || errno == ENOBUFS)) continue;
    if (got < 0) return errno;
    auto left = static_cast<int>(got);
    for (auto* part = reinterpret_cast<nlmsghdr*>(answer->bytes.data()); nlmsg_ok(part, left);
         part = nlmsg_next(part, &left)) {
      if (part->nlmsg_type == NLMSG_ERROR) return -static_cast<const nlmsgerr*>(nlmsg_data(part))->error;
    }
  }
}

bool may_configure(int socket) {
  // Has no effect but to be understood.
  return configure(socket, 0, NFULA_CFG_CMD, nfulnl_msg_config_cmd{NFULNL_CFG_CMD_PF_UNBIND}) == 0;
}

unsigned byte_at(std::string_view bytes, std::size_t at) { return static_cast<unsigned char>(bytes[at]); }
std::uint16_t word_at(std::string_view bytes, std::size_t at) {
  return static_cast<std::uint16_t>(byte_at(bytes, at) << 8U | byte_at(bytes, at + 1));
}
Ipv4Address address_at(std::string_view bytes, std::size_t at) {
  return Ipv4Address::from_bits(static_cast<std::uint32_t>(word_at(bytes, at)) << 16U | word_at(bytes, at + 2));
}

std::string protocol_name(unsigned number) {
  switch (number) {
    case IPPROTO_TCP: return "tcp";
    case IPPROTO_UDP: return "udp";
    case IPPROTO_ICMP: return "icmp";
    default: return std::to_string(number);
  }
}

bool read_ipv4(std::string_view packet, RefusedPacket& into) {
  constexpr std::size_t shortest = 20;
  if (packet.size() < shortest || byte_at(packet, 0) >> 4U != 4) return false;
  constexpr std::size_t protocol_at = 9;
  constexpr std::size_t source_at = 12;
  constexpr std::size_t destination_at = 16;
  const auto protocol = byte_at(packet, protocol_at);
  into.protocol = protocol_name(protocol);
  into.source = address_at(packet, source_at);
  into.destination = address_at(packet, destination_at);
  const std::size_t header = std::size_t{byte_at(packet, 0) & 0xFU} * 4;
  constexpr unsigned offset_bits = 0x1FFF;
  const bool first_fragment = (word_at(packet, 6) & offset_bits) == 0;
  const bool has_ports = (protocol == IPPROTO_TCP || protocol == IPPROTO_UDP) && first_fragment;
  if (has_ports && header >= shortest && packet.size() >= header + 4) into.port = word_at(packet, header + 2);
  return true;
}

bool read_arp(std::string_view packet, RefusedPacket& into) {
  constexpr std::size_t length = 28;
  constexpr std::size_t sender_at = 14;
  constexpr std::size_t target_at = 24;
  if (packet.size() < length) return false;
  into.protocol = "arp";
  into.source = address_at(packet, sender_at);
  into.destination = address_at(packet, target_at);
  // A question for the sender's own address announces it.
  return into.source != into.destination;
}

}  // namespace

std::optional<RefusedPacket> read_logged_packet(std::string_view message) {
  const auto copy = std::make_unique<Received>();
  if (message.size() > copy->bytes.size()) return std::nullopt;
  message.copy(copy->bytes.data(), message.size());
  auto* const header = reinterpret_cast<nlmsghdr*>(copy->bytes.data());
  nlattr* parts[NFULA_MAX + 1] = {};
  if (!nlmsg_ok(header, static_cast<int>(message.size())) ||
      header->nlmsg_type != (NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_PACKET) ||
      nlmsg_parse(header, sizeof(nfgenmsg), parts, NFULA_MAX, nullptr) < 0) {
    return std::nullopt;
  }
  const auto text = [&](int which) {
    return parts[which] == nullptr ? std::string_view{}
                                   : std::string_view{static_cast<const char*>(nla_data(parts[which])),
                                                      static_cast<std::size_t>(nla_len(parts[which]))};
  };
  RefusedPacket packet;
  const auto prefix = text(NFULA_PREFIX);
  packet.rule = prefix.substr(0, prefix.find('\0'));
  const auto hook = text(NFULA_PACKET_HDR);
  if (packet.rule.empty() || hook.size() < sizeof(nfulnl_msg_packet_hdr)) return std::nullopt;
  const bool is_arp = word_at(hook, 0) == ETH_P_ARP;
  if (const auto index = text(NFULA_IFINDEX_PHYSINDEV); index.size() == sizeof(std::uint32_t)) {
    packet.tap_index = static_cast<unsigned>(word_at(index, 0)) << 16U | word_at(index, 2);
  }
  const auto payload = text(NFULA_PAYLOAD);
  if (!(is_arp ? read_arp(payload, packet) : read_ipv4(payload, packet))) return std::nullopt;
  return packet;
}

bool PacketLog::is_available() noexcept {
  try {
    return may_configure(open_socket().get());
  } catch (const std::exception&) {
    return false;
  }
}

sys::Fd PacketLog::open_socket() {
  sys::Fd socket{::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_NETFILTER)};
  if (socket.get() < 0) {
    throw Error{ErrorCode::Unsupported, fmt::format("cannot open a netfilter socket: {}", std::strerror(errno))};
  }
  return socket;
}

PacketLog::PacketLog(const InterfaceName& bridge, sys::Fd socket) : socket_{std::move(socket)} {
  const auto group = log_group(bridge);
  const auto tell = [&](int attribute, const auto& value) {
    int error = configure(socket_.get(), group, attribute, value);
    if (error == 0) return;
    // The kernel says the same of a group that another socket has.
    if (error == EPERM && may_configure(socket_.get())) error = EBUSY;
    throw Error{error == EBUSY   ? ErrorCode::AlreadyExists
                : error == EPERM ? ErrorCode::PermissionDenied
                                 : ErrorCode::Io,
                fmt::format("cannot hear what the firewall refuses (nflog group {}): {}", group, std::strerror(error))};
  };
  tell(NFULA_CFG_CMD, nfulnl_msg_config_cmd{NFULNL_CFG_CMD_BIND});
  tell(NFULA_CFG_MODE, nfulnl_msg_config_mode{htonl(copied_bytes), NFULNL_COPY_PACKET, 0});
  // At once: the rules set the pace.
  tell(NFULA_CFG_QTHRESH, htonl(1));
}

std::vector<RefusedPacket> PacketLog::read() {
  std::vector<RefusedPacket> packets;
  const auto received = std::make_unique<Received>();
  for (int i = 0; i < most_at_once; ++i) {
    const auto got = ::recv(socket_.get(), received->bytes.data(), received->bytes.size(), MSG_DONTWAIT);
    // Some were lost, which the kernel says once.
    if (got < 0 && (errno == ENOBUFS || errno == EINTR)) continue;
    if (got < 0) break;
    auto left = static_cast<int>(got);
    for (auto* part = reinterpret_cast<nlmsghdr*>(received->bytes.data()); nlmsg_ok(part, left);
         part = nlmsg_next(part, &left)) {
      auto packet = read_logged_packet({reinterpret_cast<const char*>(part), part->nlmsg_len});
      if (packet) packets.push_back(*std::move(packet));
    }
  }
  return packets;
}

std::string PacketLog::interface_name(unsigned index) const {
  ifreq request{};
  request.ifr_ifindex = static_cast<int>(index);
  if (index == 0 || ::ioctl(socket_.get(), SIOCGIFNAME, &request) != 0) return {};
  return request.ifr_name;
}

}  // namespace fireclaw::net
