#include "net/links/netlink.hpp"

#include <fmt/format.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/attr.h>
#include <netlink/errno.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <netlink/route/neighbour.h>
#include <netlink/route/nexthop.h>
#include <netlink/route/route.h>

#include <algorithm>
#include <climits>
#include <cstring>

#include "fireclaw/error.hpp"

namespace fireclaw::net {
namespace {

template <auto Function>
struct Deleter {
  template <typename T>
  void operator()(T* object) const noexcept {
    Function(object);
  }
};
using Message = std::unique_ptr<nl_msg, Deleter<nlmsg_free>>;
using LinkObject = std::unique_ptr<rtnl_link, Deleter<rtnl_link_put>>;
using AddressObject = std::unique_ptr<nl_addr, Deleter<nl_addr_put>>;
using LinkAddressObject = std::unique_ptr<rtnl_addr, Deleter<rtnl_addr_put>>;
using NeighbourObject = std::unique_ptr<rtnl_neigh, Deleter<rtnl_neigh_put>>;
using Cache = std::unique_ptr<nl_cache, Deleter<nl_cache_free>>;
using Callbacks = std::unique_ptr<nl_cb, Deleter<nl_cb_put>>;

constexpr std::size_t longest_answer = std::size_t{64} << 10;
/// How often a dump is begun again when the kernel says that it changed meanwhile.
constexpr int dump_attempts = 20;

[[noreturn]] void fail(int error, std::string_view what) {
  switch (error < 0 ? -error : error) {
    case NLE_PERM:
      throw Error{ErrorCode::PermissionDenied,
                  fmt::format("{}: not permitted; it needs CAP_NET_ADMIN: run as root, or use --net user", what)};
    case NLE_EXIST: throw Error{ErrorCode::AlreadyExists, fmt::format("{}: it exists already", what)};
    case NLE_NODEV:
    case NLE_OBJ_NOTFOUND: throw Error{ErrorCode::NotFound, fmt::format("{}: no such interface", what)};
    case NLE_OPNOTSUPP:
      throw Error{ErrorCode::Unsupported, fmt::format("{}: this kernel cannot do it (is the module missing?)", what)};
    case NLE_BUSY: throw Error{ErrorCode::InvalidState, fmt::format("{}: the interface is busy", what)};
    default: throw Error{ErrorCode::Io, fmt::format("{}: {}", what, nl_geterror(error))};
  }
}

void check(int result, std::string_view what) {
  if (result < 0) fail(result, what);
}

template <typename T>
T* require(T* object) {
  if (object == nullptr) throw std::bad_alloc{};
  return object;
}

/// Builds a change of an interface; sends it with an acknowledgement.
class LinkChange {
 public:
  LinkChange(int type, int flags, const ifinfomsg& header)
      : message_{require(nlmsg_alloc_simple(type, NLM_F_REQUEST | NLM_F_ACK | flags))} {
    require_space(nlmsg_append(message_.get(), const_cast<ifinfomsg*>(&header), sizeof(header), NLMSG_ALIGNTO));
  }

  LinkChange& bytes(int attribute, const void* data, std::size_t size) {
    require_space(nla_put(message_.get(), attribute, static_cast<int>(size), data));
    return *this;
  }
  LinkChange& text(int attribute, const std::string& value) {
    return bytes(attribute, value.c_str(), value.size() + 1);
  }
  LinkChange& mac(int attribute, const MacAddress& value) {
    return bytes(attribute, value.bytes().data(), value.bytes().size());
  }
  template <typename Integer>
  LinkChange& number(int attribute, Integer value) {
    return bytes(attribute, &value, sizeof(value));
  }
  template <typename Fill>
  LinkChange& nested(int attribute, Fill fill) {
    nlattr* const start = require(nla_nest_start(message_.get(), attribute));
    fill(*this);
    nla_nest_end(message_.get(), start);
    return *this;
  }
  /// Returns 0 or a negative libnl error.
  int send(nl_sock* socket) { return nl_send_sync(socket, message_.release()); }

 private:
  static void require_space(int result) {
    if (result < 0) throw Error{ErrorCode::Internal, "netlink message too long"};
  }
  Message message_;
};

ifinfomsg header_for(int index, int family = AF_UNSPEC) {
  ifinfomsg header{};
  header.ifi_family = static_cast<unsigned char>(family);
  header.ifi_index = index;
  return header;
}

AddressObject to_nl(Ipv4Address address) {
  const auto network_order = htonl(address.bits());
  return AddressObject{require(nl_addr_build(AF_INET, &network_order, sizeof(network_order)))};
}

AddressObject to_nl(const MacAddress& mac) {
  return AddressObject{require(nl_addr_build(AF_LLC, mac.bytes().data(), mac.bytes().size()))};
}

std::optional<Ipv4Address> ipv4_from_nl(nl_addr* address) {
  std::uint32_t network_order = 0;
  if (address == nullptr || nl_addr_get_len(address) != sizeof(network_order)) return std::nullopt;
  std::memcpy(&network_order, nl_addr_get_binary_addr(address), sizeof(network_order));
  return Ipv4Address::from_bits(ntohl(network_order));
}

Link link_from_nl(rtnl_link* object) {
  const auto text = [](const char* value) { return std::string{value == nullptr ? "" : value}; };
  Link link;
  link.index = rtnl_link_get_ifindex(object);
  link.name = text(rtnl_link_get_name(object));
  link.kind = text(rtnl_link_get_type(object));
  link.alias = text(rtnl_link_get_ifalias(object));
  link.up = (rtnl_link_get_flags(object) & IFF_UP) != 0;
  link.mtu = rtnl_link_get_mtu(object);
  link.master = rtnl_link_get_master(object);
  nl_addr* const mac = rtnl_link_get_addr(object);
  std::array<std::uint8_t, 6> bytes{};
  if (mac != nullptr && nl_addr_get_len(mac) == bytes.size()) {
    std::memcpy(bytes.data(), nl_addr_get_binary_addr(mac), bytes.size());
  }
  link.mac = MacAddress{bytes};
  return link;
}

/// A whole table of the kernel's; begun again while it changes under our hands.
template <typename Allocate>
Cache dump(Allocate allocate, std::string_view what) {
  for (int attempt = 1;; ++attempt) {
    nl_cache* cache = nullptr;
    const int result = allocate(&cache);
    if (result == 0) return Cache{cache};
    if (result != -NLE_DUMP_INTR || attempt == dump_attempts) fail(result, what);
  }
}

template <typename Object, typename Use>
void for_each(const Cache& cache, Use use) {
  for (nl_object* object = nl_cache_get_first(cache.get()); object != nullptr; object = nl_cache_get_next(object)) {
    use(reinterpret_cast<Object*>(object));
  }
}

NeighbourObject make_neighbour(int family, int index) {
  NeighbourObject neighbour{require(rtnl_neigh_alloc())};
  rtnl_neigh_set_family(neighbour.get(), family);
  rtnl_neigh_set_ifindex(neighbour.get(), index);
  return neighbour;
}

}  // namespace

const Link* Surroundings::find(const InterfaceName& name) const {
  const auto found = std::ranges::find(links, name.str(), &Link::name);
  return found == links.end() ? nullptr : &*found;
}

const Link* Surroundings::find(int index) const {
  const auto found = std::ranges::find(links, index, &Link::index);
  return found == links.end() ? nullptr : &*found;
}

void Netlink::Closer::operator()(nl_sock* socket) const noexcept { nl_socket_free(socket); }

Netlink::Netlink() : socket_{require(nl_socket_alloc())} {
  check(nl_connect(socket_.get(), NETLINK_ROUTE), "cannot open a route netlink socket");
  // No part of a dump is longer, so that each answer need not be looked at before it is read.
  check(nl_socket_set_msg_buf_size(socket_.get(), longest_answer), "cannot have a buffer for netlink");
  nl_socket_disable_msg_peek(socket_.get());
}
Netlink::Netlink(Netlink&&) noexcept = default;
Netlink& Netlink::operator=(Netlink&&) noexcept = default;
Netlink::~Netlink() = default;

std::optional<Link> Netlink::find_link(const InterfaceName& name) {
  rtnl_link* found = nullptr;
  const int result = rtnl_link_get_kernel(socket_.get(), 0, name.str().c_str(), &found);
  const LinkObject owner{found};
  if (result == -NLE_NODEV || result == -NLE_OBJ_NOTFOUND) return std::nullopt;
  check(result, fmt::format("cannot look up interface '{}'", name.str()));
  return link_from_nl(found);
}

Link Netlink::get_link(const InterfaceName& name) {
  auto link = find_link(name);
  if (!link) throw Error{ErrorCode::NotFound, fmt::format("no network interface named '{}'", name.str())};
  return *std::move(link);
}

std::vector<Link> Netlink::links() {
  const auto cache = dump([&](nl_cache** out) { return rtnl_link_alloc_cache(socket_.get(), AF_UNSPEC, out); },
                          "cannot list the interfaces");
  std::vector<Link> links;
  for_each<rtnl_link>(cache, [&](rtnl_link* object) { links.push_back(link_from_nl(object)); });
  return links;
}

std::vector<LinkAddress> Netlink::addresses() {
  const auto cache =
      dump([&](nl_cache** out) { return rtnl_addr_alloc_cache(socket_.get(), out); }, "cannot list the addresses");
  std::vector<LinkAddress> addresses;
  for_each<rtnl_addr>(cache, [&](rtnl_addr* object) {
    if (rtnl_addr_get_family(object) != AF_INET) return;
    if (const auto address = ipv4_from_nl(rtnl_addr_get_local(object))) {
      addresses.push_back(
          {rtnl_addr_get_ifindex(object), *address, static_cast<unsigned>(rtnl_addr_get_prefixlen(object))});
    }
  });
  return addresses;
}

std::vector<Route> Netlink::routes() {
  const auto cache = dump([&](nl_cache** out) { return rtnl_route_alloc_cache(socket_.get(), AF_INET, 0, out); },
                          "cannot list the routes");
  std::vector<Route> routes;
  for_each<rtnl_route>(cache, [&](rtnl_route* object) {
    if (rtnl_route_get_table(object) != RT_TABLE_MAIN) return;
    nl_addr* const destination = rtnl_route_get_dst(object);
    const auto base = ipv4_from_nl(destination).value_or(Ipv4Address{});
    const unsigned prefix = destination == nullptr ? 0 : nl_addr_get_prefixlen(destination);
    rtnl_nexthop* const hop = rtnl_route_nexthop_n(object, 0);
    routes.push_back({Ipv4Network::around(base, prefix), hop == nullptr ? 0 : rtnl_route_nh_get_ifindex(hop)});
  });
  return routes;
}

void Netlink::create_bridge(const InterfaceName& name, const MacAddress& mac, unsigned mtu) {
  LinkChange change{RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, header_for(0)};
  change.text(IFLA_IFNAME, name.str()).mac(IFLA_ADDRESS, mac).number(IFLA_MTU, std::uint32_t{mtu});
  change.nested(IFLA_LINKINFO, [](LinkChange& info) {
    info.text(IFLA_INFO_KIND, "bridge");
    info.nested(IFLA_INFO_DATA, [](LinkChange& data) {
      data.number(IFLA_BR_STP_STATE, std::uint32_t{0});
      data.number(IFLA_BR_MCAST_SNOOPING, std::uint8_t{0});
    });
  });
  check(change.send(socket_.get()), fmt::format("cannot create bridge '{}'", name.str()));
}

bool Netlink::delete_link(const InterfaceName& name) {
  LinkChange change{RTM_DELLINK, 0, header_for(0)};
  change.text(IFLA_IFNAME, name.str());
  const int result = change.send(socket_.get());
  if (result == -NLE_NODEV || result == -NLE_OBJ_NOTFOUND) return false;
  check(result, fmt::format("cannot delete interface '{}'", name.str()));
  return true;
}

void Netlink::set_up(int index, bool up) {
  auto header = header_for(index);
  header.ifi_flags = up ? IFF_UP : 0;
  header.ifi_change = IFF_UP;
  LinkChange change{RTM_NEWLINK, 0, header};
  check(change.send(socket_.get()), fmt::format("cannot set interface {} {}", index, up ? "up" : "down"));
}

void Netlink::set_mtu(int index, unsigned mtu) {
  LinkChange change{RTM_NEWLINK, 0, header_for(index)};
  change.number(IFLA_MTU, std::uint32_t{mtu});
  check(change.send(socket_.get()), fmt::format("cannot set the MTU of interface {} to {}", index, mtu));
}

void Netlink::set_mac(int index, const MacAddress& mac) {
  LinkChange change{RTM_NEWLINK, 0, header_for(index)};
  change.mac(IFLA_ADDRESS, mac);
  check(change.send(socket_.get()), fmt::format("cannot set the MAC of interface {} to {}", index, mac.to_string()));
}

void Netlink::set_alias(int index, std::string_view alias) {
  LinkChange change{RTM_NEWLINK, 0, header_for(index)};
  change.bytes(IFLA_IFALIAS, alias.data(), alias.size());
  check(change.send(socket_.get()), fmt::format("cannot set the alias of interface {}", index));
}

void Netlink::disable_ipv6_addresses(int index) {
  LinkChange change{RTM_NEWLINK, 0, header_for(index)};
  change.nested(IFLA_AF_SPEC, [](LinkChange& families) {
    families.nested(AF_INET6, [](LinkChange& inet6) {
      inet6.number(IFLA_INET6_ADDR_GEN_MODE, std::uint8_t{IN6_ADDR_GEN_MODE_NONE});
    });
  });
  const int result = change.send(socket_.get());
  if (result == -NLE_AF_NOSUPPORT || result == -NLE_OPNOTSUPP) return;  // a kernel without IPv6
  check(result, fmt::format("cannot turn IPv6 addresses off on interface {}", index));
}

void Netlink::add_address(int index, Ipv4Address address, unsigned prefix) {
  const auto local = to_nl(address);
  nl_addr_set_prefixlen(local.get(), static_cast<int>(prefix));
  const auto broadcast = to_nl(Ipv4Network::around(address, prefix).last());
  const LinkAddressObject object{require(rtnl_addr_alloc())};
  rtnl_addr_set_ifindex(object.get(), index);
  const auto what = fmt::format("cannot add address {}/{} to interface {}", address.to_string(), prefix, index);
  check(rtnl_addr_set_local(object.get(), local.get()), what);
  if (prefix < 31) check(rtnl_addr_set_broadcast(object.get(), broadcast.get()), what);
  check(rtnl_addr_add(socket_.get(), object.get(), NLM_F_EXCL), what);
}

void Netlink::set_master(int port, int bridge) {
  LinkChange change{RTM_NEWLINK, 0, header_for(port)};
  change.number(IFLA_MASTER, std::uint32_t(bridge));
  check(change.send(socket_.get()), fmt::format("cannot make interface {} a port of bridge {}", port, bridge));
}

void Netlink::configure_port(int port, const PortOptions& options) {
  LinkChange change{RTM_SETLINK, 0, header_for(port, AF_BRIDGE)};
  change.nested(IFLA_PROTINFO | NLA_F_NESTED, [&](LinkChange& info) {
    const auto flag = [&](int attribute, bool on) { info.number(attribute, static_cast<std::uint8_t>(on)); };
    flag(IFLA_BRPORT_ISOLATED, options.isolated);
    flag(IFLA_BRPORT_MODE, options.hairpin);
    flag(IFLA_BRPORT_LEARNING, options.learning);
    flag(IFLA_BRPORT_UNICAST_FLOOD, options.unicast_flood);
    flag(IFLA_BRPORT_MCAST_FLOOD, options.multicast_flood);
    flag(IFLA_BRPORT_BCAST_FLOOD, options.broadcast_flood);
    flag(IFLA_BRPORT_NEIGH_SUPPRESS, options.neighbour_suppress);
  });
  check(change.send(socket_.get()), fmt::format("cannot configure bridge port {}", port));
}

PortOptions Netlink::port_options(int port) {
  // libnl's own link object does not know all of these attributes, so the reply is read here.
  const Message request{require(nlmsg_alloc_simple(RTM_GETLINK, NLM_F_REQUEST))};
  auto header = header_for(port);
  check(nlmsg_append(request.get(), &header, sizeof(header), NLMSG_ALIGNTO), "cannot build a netlink request");
  std::optional<PortOptions> found;
  const auto read = [](nl_msg* reply, void* result) -> int {
    nlattr* attributes[IFLA_MAX + 1] = {};
    nlattr* info[IFLA_INFO_MAX + 1] = {};
    nlattr* data[IFLA_BRPORT_MAX + 1] = {};
    if (nlmsg_parse(nlmsg_hdr(reply), sizeof(ifinfomsg), attributes, IFLA_MAX, nullptr) < 0) return NL_SKIP;
    if (attributes[IFLA_LINKINFO] == nullptr ||
        nla_parse_nested(info, IFLA_INFO_MAX, attributes[IFLA_LINKINFO], nullptr) < 0 ||
        info[IFLA_INFO_SLAVE_DATA] == nullptr ||
        nla_parse_nested(data, IFLA_BRPORT_MAX, info[IFLA_INFO_SLAVE_DATA], nullptr) < 0) {
      return NL_SKIP;
    }
    const auto flag = [&](int attribute) { return data[attribute] != nullptr && nla_get_u8(data[attribute]) != 0; };
    PortOptions options;
    options.isolated = flag(IFLA_BRPORT_ISOLATED);
    options.hairpin = flag(IFLA_BRPORT_MODE);
    options.learning = flag(IFLA_BRPORT_LEARNING);
    options.unicast_flood = flag(IFLA_BRPORT_UNICAST_FLOOD);
    options.multicast_flood = flag(IFLA_BRPORT_MCAST_FLOOD);
    options.broadcast_flood = flag(IFLA_BRPORT_BCAST_FLOOD);
    options.neighbour_suppress = flag(IFLA_BRPORT_NEIGH_SUPPRESS);
    *static_cast<std::optional<PortOptions>*>(result) = options;
    return NL_OK;
  };
  const Callbacks callbacks{require(nl_cb_alloc(NL_CB_DEFAULT))};
  nl_cb_set(callbacks.get(), NL_CB_VALID, NL_CB_CUSTOM, read, &found);
  nl_socket_disable_auto_ack(socket_.get());
  const int sent = nl_send_auto(socket_.get(), request.get());
  nl_socket_enable_auto_ack(socket_.get());
  check(sent, "cannot send a netlink request");
  check(nl_recvmsgs(socket_.get(), callbacks.get()), fmt::format("cannot read interface {}", port));
  if (!found) throw Error{ErrorCode::InvalidState, fmt::format("interface {} is not a bridge port", port)};
  return *found;
}

void Netlink::pin_mac(int port, const MacAddress& mac) {
  const auto neighbour = make_neighbour(AF_BRIDGE, port);
  const auto address = to_nl(mac);
  rtnl_neigh_set_lladdr(neighbour.get(), address.get());
  rtnl_neigh_set_state(neighbour.get(), NUD_NOARP | NUD_REACHABLE);  // as `bridge fdb add ... static`
  rtnl_neigh_set_flags(neighbour.get(), NTF_MASTER);
  check(rtnl_neigh_add(socket_.get(), neighbour.get(), NLM_F_CREATE | NLM_F_REPLACE),
        fmt::format("cannot pin {} to bridge port {}", mac.to_string(), port));
}

void Netlink::pin_neighbour(int index, Ipv4Address address, const MacAddress& mac) {
  const auto neighbour = make_neighbour(AF_INET, index);
  const auto ip = to_nl(address);
  const auto hardware = to_nl(mac);
  const auto what = fmt::format("cannot pin {} to {}", address.to_string(), mac.to_string());
  check(rtnl_neigh_set_dst(neighbour.get(), ip.get()), what);
  rtnl_neigh_set_lladdr(neighbour.get(), hardware.get());
  rtnl_neigh_set_state(neighbour.get(), NUD_PERMANENT);
  check(rtnl_neigh_add(socket_.get(), neighbour.get(), NLM_F_CREATE | NLM_F_REPLACE), what);
}

bool Netlink::unpin_neighbour(int index, Ipv4Address address) {
  const auto neighbour = make_neighbour(AF_INET, index);
  const auto ip = to_nl(address);
  const auto what = fmt::format("cannot unpin {}", address.to_string());
  check(rtnl_neigh_set_dst(neighbour.get(), ip.get()), what);
  const int result = rtnl_neigh_delete(socket_.get(), neighbour.get(), 0);
  if (result == -NLE_OBJ_NOTFOUND || result == -NLE_NODEV) return false;
  check(result, what);
  return true;
}

bool Netlink::may_configure() {
  // The kernel checks the capability before it looks for the interface, and there is none with this index.
  LinkChange change{RTM_SETLINK, 0, header_for(INT_MAX)};
  const int result = change.send(socket_.get());
  if (result == -NLE_PERM) return false;
  if (result != -NLE_NODEV && result != -NLE_OBJ_NOTFOUND) check(result, "cannot probe the network namespace");
  return true;
}

}  // namespace fireclaw::net
