#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net/address.hpp"
#include "net/interface_name.hpp"

struct nl_sock;

namespace fireclaw::net {

/// A network interface as the kernel describes it.
struct Link {
  int index = 0;
  std::string name;
  /// "bridge", "tun", "veth", ...; empty for hardware.
  std::string kind;
  /// What administrators note about an interface; fireclaw marks its bridges with it.
  std::string alias;
  bool up = false;
  unsigned mtu = 0;
  MacAddress mac;
  /// Index of the bridge it is a port of, or 0.
  int master = 0;

  bool operator==(const Link&) const = default;
};

/// An IPv4 address on an interface.
struct LinkAddress {
  int index = 0;
  Ipv4Address address;
  unsigned prefix = 32;

  bool operator==(const LinkAddress&) const = default;
};

/// An IPv4 route of the main table.
struct Route {
  Ipv4Network destination;
  /// Interface index of the first hop, or 0 (blackhole and the like).
  int index = 0;

  bool operator==(const Route&) const = default;
};

/// The interfaces, addresses and routes that a bridge and its subnet must fit into, as of the reading.
struct Surroundings {
  std::vector<Link> links;
  std::vector<LinkAddress> addresses;
  std::vector<Route> routes;

  /// nullptr if there is none.
  [[nodiscard]] const Link* find(const InterfaceName& name) const;
  [[nodiscard]] const Link* find(int index) const;
};

/// A bridge's settings for a port. The default is an isolated port: it cannot talk to other isolated ports, nothing is
/// flooded to it, and nothing is learned from it.
struct PortOptions {
  bool isolated = true;
  bool hairpin = false;
  bool learning = false;
  bool unicast_flood = false;
  bool multicast_flood = false;
  bool broadcast_flood = false;
  bool neighbour_suppress = false;

  bool operator==(const PortOptions&) const = default;
};

/// A route netlink socket: what `ip` and `bridge` do, without child processes. It acts on the network namespace of
/// the thread that made it, wherever it is used later. Use from one thread at a time.
/// Without CAP_NET_ADMIN, calls throw Error(PermissionDenied) with the remedy.
class Netlink {
 public:
  Netlink();
  Netlink(Netlink&&) noexcept;
  Netlink& operator=(Netlink&&) noexcept;
  ~Netlink();

  [[nodiscard]] std::optional<Link> find_link(const InterfaceName& name);
  /// Error(NotFound) if there is none.
  [[nodiscard]] Link get_link(const InterfaceName& name);
  [[nodiscard]] std::vector<Link> links();
  [[nodiscard]] std::vector<LinkAddress> addresses();
  [[nodiscard]] std::vector<Route> routes();
  [[nodiscard]] Surroundings look_around() { return {links(), addresses(), routes()}; }

  /// Creates a bridge with spanning tree and multicast snooping off, down. Error(AlreadyExists) if the name is taken.
  void create_bridge(const InterfaceName& name, const MacAddress& mac, unsigned mtu);
  /// False if it was gone already.
  bool delete_link(const InterfaceName& name);
  void set_up(int index, bool up);
  void set_mtu(int index, unsigned mtu);
  void set_mac(int index, const MacAddress& mac);
  void set_alias(int index, std::string_view alias);
  /// Keeps the kernel from giving the interface a link-local IPv6 address when it comes up. No effect without IPv6.
  void disable_ipv6_addresses(int index);

  /// Error(AlreadyExists) if it has that very address.
  void add_address(int index, Ipv4Address address, unsigned prefix);

  /// Makes `port` a port of the bridge; 0 takes it out.
  void set_master(int port, int bridge);
  void configure_port(int port, const PortOptions& options);
  [[nodiscard]] PortOptions port_options(int port);

  /// Tells the bridge for good which port `mac` is behind.
  void pin_mac(int port, const MacAddress& mac);
  /// Tells the host for good which MAC `address` has on the interface, so that it never asks; replaces what it knew.
  void pin_neighbour(int index, Ipv4Address address, const MacAddress& mac);
  /// False if there was no entry.
  bool unpin_neighbour(int index, Ipv4Address address);

  /// Whether the kernel would let this process change the namespace's interfaces. Changes nothing.
  [[nodiscard]] bool may_configure();

 private:
  struct Closer {
    void operator()(nl_sock* socket) const noexcept;
  };
  std::unique_ptr<nl_sock, Closer> socket_;
};

}  // namespace fireclaw::net
