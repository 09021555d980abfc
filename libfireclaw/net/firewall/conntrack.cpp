#include "net/firewall/conntrack.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>
#include <netlink/attr.h>
#include <netlink/errno.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>

#include <algorithm>
#include <string>
#include <vector>

#include "fireclaw/error.hpp"

namespace fireclaw::net {
namespace {

/// How often the dump is begun again when the table changed meanwhile.
constexpr int dump_attempts = 20;

struct MessageDeleter {
  void operator()(nl_msg* message) const noexcept { nlmsg_free(message); }
};
using Message = std::unique_ptr<nl_msg, MessageDeleter>;
struct CallbacksDeleter {
  void operator()(nl_cb* callbacks) const noexcept { nl_cb_put(callbacks); }
};

constexpr int message_type(int subtype) { return NFNL_SUBSYS_CTNETLINK << 8 | subtype; }

Message new_request(int subtype, int flags) {
  Message message{nlmsg_alloc_simple(message_type(subtype), NLM_F_REQUEST | flags)};
  nfgenmsg header{};
  header.nfgen_family = AF_INET;
  header.version = NFNETLINK_V0;
  if (!message || nlmsg_append(message.get(), &header, sizeof(header), NLMSG_ALIGNTO) < 0) throw std::bad_alloc{};
  return message;
}

void check(int result, std::string_view what) {
  if (result >= 0) return;
  const auto code = result == -NLE_PERM ? ErrorCode::PermissionDenied : ErrorCode::Io;
  throw Error{code, fmt::format("{}: {}", what, nl_geterror(result))};
}

/// What identifies a connection to the kernel, byte for byte as it told us.
struct Connection {
  std::string original;
  std::string id;
};

/// CTA_IP_V4_SRC or CTA_IP_V4_DST of a direction, in network order; 0 if there is none.
std::uint32_t end_of(nlattr* tuple, int which) {
  nlattr* parts[CTA_TUPLE_MAX + 1] = {};
  nlattr* addresses[CTA_IP_MAX + 1] = {};
  if (tuple == nullptr || nla_parse_nested(parts, CTA_TUPLE_MAX, tuple, nullptr) < 0 ||
      parts[CTA_TUPLE_IP] == nullptr || nla_parse_nested(addresses, CTA_IP_MAX, parts[CTA_TUPLE_IP], nullptr) < 0 ||
      addresses[which] == nullptr) {
    return 0;
  }
  return nla_get_u32(addresses[which]);
}

/// Whether a connection with this original direction leads to one of `destinations`.
bool leads_to(nlattr* original, std::span<const Destination> destinations) {
  nlattr* parts[CTA_TUPLE_MAX + 1] = {};
  nlattr* protocol[CTA_PROTO_MAX + 1] = {};
  if (nla_parse_nested(parts, CTA_TUPLE_MAX, original, nullptr) < 0 || parts[CTA_TUPLE_PROTO] == nullptr ||
      nla_parse_nested(protocol, CTA_PROTO_MAX, parts[CTA_TUPLE_PROTO], nullptr) < 0) {
    return false;
  }
  const int number = protocol[CTA_PROTO_NUM] == nullptr ? 0 : nla_get_u8(protocol[CTA_PROTO_NUM]);
  const int port = protocol[CTA_PROTO_DST_PORT] == nullptr ? 0 : ntohs(nla_get_u16(protocol[CTA_PROTO_DST_PORT]));
  const auto to = Ipv4Address::from_bits(ntohl(end_of(original, CTA_IP_V4_DST)));
  return std::ranges::any_of(destinations, [&](const Destination& destination) {
    if (!destination.network.contains(to)) return false;
    if (!destination.port) return true;
    const bool fits_tcp = number == IPPROTO_TCP && destination.protocol != Protocol::Udp;
    const bool fits_udp = number == IPPROTO_UDP && destination.protocol != Protocol::Tcp;
    return port == *destination.port && (fits_tcp || fits_udp);
  });
}

}  // namespace

struct Conntrack::Search {
  std::uint32_t address;  // network order
  /// To these alone; empty: to and from everywhere.
  std::span<const Ipv4Network> networks;
  /// If there are any: those that the address made to none of them.
  std::span<const Destination> kept;
  std::vector<Connection> found;

  [[nodiscard]] bool fits(nlattr* original, nlattr* reply) const {
    const bool made_it = end_of(original, CTA_IP_V4_SRC) == address;
    if (!kept.empty()) return made_it && !leads_to(original, kept);
    // The source of the reply direction is the one that answers: it finds a machine behind a published port.
    if (networks.empty()) return made_it || end_of(reply, CTA_IP_V4_SRC) == address;
    const auto to = Ipv4Address::from_bits(ntohl(end_of(original, CTA_IP_V4_DST)));
    return made_it && std::ranges::any_of(networks, [&](const auto& network) { return network.contains(to); });
  }
  static int collect(nl_msg* message, void* argument);
};

int Conntrack::Search::collect(nl_msg* message, void* argument) {
  auto& search = *static_cast<Search*>(argument);
  nlattr* attributes[CTA_MAX + 1] = {};
  if (nlmsg_parse(nlmsg_hdr(message), sizeof(nfgenmsg), attributes, CTA_MAX, nullptr) < 0) return NL_SKIP;
  nlattr* const original = attributes[CTA_TUPLE_ORIG];
  if (original == nullptr || !search.fits(original, attributes[CTA_TUPLE_REPLY])) return NL_SKIP;
  const auto bytes = [](nlattr* attribute) {
    return attribute == nullptr ? std::string{}
                                : std::string{static_cast<const char*>(nla_data(attribute)),
                                              static_cast<std::size_t>(nla_len(attribute))};
  };
  search.found.push_back({bytes(original), bytes(attributes[CTA_ID])});
  return NL_OK;
}

void Conntrack::Closer::operator()(nl_sock* socket) const noexcept { nl_socket_free(socket); }

Conntrack::Conntrack() : socket_{nl_socket_alloc()} {
  if (!socket_) throw std::bad_alloc{};
  if (const int result = nl_connect(socket_.get(), NETLINK_NETFILTER); result < 0) {
    throw Error{ErrorCode::Unsupported, fmt::format("cannot open a netfilter socket: {}", nl_geterror(result))};
  }
}
Conntrack::Conntrack(Conntrack&&) noexcept = default;
Conntrack& Conntrack::operator=(Conntrack&&) noexcept = default;
Conntrack::~Conntrack() = default;

std::size_t Conntrack::forget(Ipv4Address address) {
  Search search{htonl(address.bits()), {}, {}, {}};
  return forget(search);
}

std::size_t Conntrack::forget(Ipv4Address address, std::span<const Ipv4Network> networks) {
  if (networks.empty()) return 0;
  Search search{htonl(address.bits()), networks, {}, {}};
  return forget(search);
}

std::size_t Conntrack::forget_others(Ipv4Address address, std::span<const Destination> kept) {
  Search search{htonl(address.bits()), {}, kept, {}};
  return forget(search);
}

std::size_t Conntrack::forget(Search& search) {
  for (int attempt = 1;; ++attempt) {
    search.found.clear();
    const auto request = new_request(IPCTNL_MSG_CT_GET, NLM_F_DUMP);
    nl_socket_disable_auto_ack(socket_.get());
    const int sent = nl_send_auto(socket_.get(), request.get());
    nl_socket_enable_auto_ack(socket_.get());
    check(sent, "cannot ask for the table of connections");
    const std::unique_ptr<nl_cb, CallbacksDeleter> callbacks{nl_cb_alloc(NL_CB_DEFAULT)};
    if (!callbacks) throw std::bad_alloc{};
    nl_cb_set(callbacks.get(), NL_CB_VALID, NL_CB_CUSTOM, Search::collect, &search);
    const int received = nl_recvmsgs(socket_.get(), callbacks.get());
    if (received == -NLE_DUMP_INTR && attempt < dump_attempts) continue;
    if (received == -NLE_INVAL || received == -NLE_OPNOTSUPP) return 0;  // a kernel without ctnetlink
    check(received, "cannot read the table of connections");
    break;
  }
  std::size_t forgotten = 0;
  for (const auto& connection : search.found) {
    auto request = new_request(IPCTNL_MSG_CT_DELETE, NLM_F_ACK);
    const auto put = [&](int attribute, const std::string& bytes) {
      if (nla_put(request.get(), attribute, static_cast<int>(bytes.size()), bytes.data()) < 0) throw std::bad_alloc{};
    };
    put(CTA_TUPLE_ORIG | NLA_F_NESTED, connection.original);
    if (!connection.id.empty()) put(CTA_ID, connection.id);
    const int result = nl_send_sync(socket_.get(), request.release());
    if (result == -NLE_OBJ_NOTFOUND) continue;  // it ended by itself meanwhile
    check(result, "cannot forget a connection");
    ++forgotten;
  }
  return forgotten;
}

}  // namespace fireclaw::net
