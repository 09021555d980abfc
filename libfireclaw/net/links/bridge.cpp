#include "net/links/bridge.hpp"

#include <fmt/format.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>

#include "fireclaw/error.hpp"
#include "json/record.hpp"
#include "net/boot.hpp"
#include "net/links/sysctl.hpp"
#include "sys/digest.hpp"
#include "sys/file.hpp"

namespace fireclaw::net {
namespace {

constexpr std::chrono::seconds lock_patience{30};
constexpr std::size_t max_alias_owner = 200;
constexpr std::string_view ip_forward = "ipv4/ip_forward";

/// What outlives the bridge, and where it was changed: in another network namespace it says nothing about the settings
/// found there.
struct Change {
  std::uint64_t network_namespace = 0;
  std::string ip_forward_before;
};

void describe(auto& field, json::Is<Change> auto& change) {
  field("network_namespace", change.network_namespace);
  field("ip_forward_before", change.ip_forward_before);
}

/// The first change stands as earlier versions wrote the only one.
struct ChangeRecord {
  static constexpr unsigned schema = 1;

  std::string boot_id;
  Change first;
  /// One home folder can be used from several namespaces.
  std::vector<Change> others;
};

void describe(auto& field, json::Is<ChangeRecord> auto& record) {
  field.schema(ChangeRecord::schema);
  field("boot_id", record.boot_id);
  describe(field, record.first);
  field.later("others", record.others);
}

std::uint64_t current_network_namespace() {
  struct stat status {};
  sys::check(::stat("/proc/thread-self/ns/net", &status), "cannot look at /proc/thread-self/ns/net");
  return status.st_ino;
}

/// The changes since this boot: settings do not outlive it.
std::vector<Change> read_changes(const std::filesystem::path& path) {
  if (!std::filesystem::exists(path)) return {};
  auto record = json::read_record<ChangeRecord>(json::Value::parse_file(path));
  if (record.boot_id != current_boot_id()) return {};
  record.others.insert(record.others.begin(), std::move(record.first));
  return std::move(record.others);
}

void write_changes(const std::filesystem::path& path, const std::vector<Change>& changes) {
  if (changes.empty()) {
    std::filesystem::remove(path);
    return;
  }
  sys::write_file_atomic(
      path, json::record_text(ChangeRecord{current_boot_id(), changes.front(), {changes.begin() + 1, changes.end()}}));
}

sys::FileLock take_turn(const std::filesystem::path& record) {
  const auto lock = bridge_lock(record);
  return sys::FileLock::acquire(lock, sys::FileLock::Mode::Exclusive, Deadline::after(lock_patience),
                                fmt::format("the bridge ({})", lock.native()));
}

/// The note on the bridge that says whose it is.
std::string alias_of(const BridgeConfig& config) {
  if (config.owner.size() <= max_alias_owner) return "fireclaw " + config.owner;
  return "fireclaw sha256:" + sys::sha256_hex(config.owner);
}

void refuse_foreign_bridge(const BridgeConfig& config, const Link& link) {
  const auto refuse = [&](std::string_view why) {
    throw Error{ErrorCode::InvalidState,
                fmt::format("interface '{}' exists already and {}; choose another bridge name (and another subnet), or "
                            "remove it: ip link delete {}",
                            config.name.str(), why, config.name.str())};
  };
  if (link.kind != "bridge") refuse(fmt::format("is not a bridge but {}", link.kind.empty() ? "hardware" : link.kind));
  if (link.alias == alias_of(config)) return;
  if (link.alias.starts_with("fireclaw ")) refuse(fmt::format("belongs to {}", link.alias.substr(9)));
  // Made by us but for its last step: killed before the note could be put on.
  if (link.alias.empty() && !link.up && link.mac == MacAddress::for_address(config.gateway)) return;
  refuse("was not made by fireclaw");
}

void set_forwarding(const std::filesystem::path& record_path) {
  const auto before = read_sysctl(ip_forward).value_or("0");
  if (before != "0") return;
  auto changes = read_changes(record_path);
  std::erase_if(
      changes, [here = current_network_namespace()](const Change& change) { return change.network_namespace == here; });
  changes.push_back({current_network_namespace(), before});
  write_changes(record_path, changes);
  set_sysctl(ip_forward, "1");
}

/// Settings of the bridge interface; they vanish with it.
void configure_sysctls(const InterfaceName& bridge) {
  const auto set = [&](std::string_view family, std::string_view key, std::string_view value) {
    const auto name = fmt::format("{}/conf/{}/{}", family, bridge.str(), key);
    if (const auto now = read_sysctl(name); now && *now != value) set_sysctl(name, value);
  };
  set("ipv6", "disable_ipv6", "1");
  set("ipv6", "accept_ra", "0");
  set("ipv4", "rp_filter", "1");
  set("ipv4", "arp_ignore", "1");  // answer for the gateway's address only, not for the host's others
  set("ipv4", "proxy_arp", "0");
  set("ipv4", "accept_redirects", "0");
  set("ipv4", "send_redirects", "0");
  set("ipv4", "accept_source_route", "0");
}

void refuse_unfit(const BridgeConfig& config) {
  static_cast<void>(bridge_name(config.name.str()));
  if (!config.subnet.contains(config.gateway) || config.subnet.prefix() > 30 ||
      config.gateway == config.subnet.base() || config.gateway == config.subnet.last()) {
    throw Error{ErrorCode::InvalidArgument,
                fmt::format("{} cannot be the gateway of {}", config.gateway.to_string(), config.subnet.to_string())};
  }
}

/// Throws what is in the way.
void check_place(const Surroundings& around, const BridgeConfig& config) {
  if (const auto* link = around.find(config.name)) refuse_foreign_bridge(config, *link);
  if (const auto conflict = find_subnet_conflict(around, config)) {
    throw Error{ErrorCode::InvalidState,
                fmt::format("{}; choose another subnet for the machines (network.subnet in config.json)", *conflict)};
  }
}

/// Changes of carrier wait for a worker of the kernel's that runs once a second. Asking for the link's state, as
/// ethtool does, makes it act on them before it answers.
void settle(const InterfaceName& interface) {
  const sys::Fd socket{sys::check(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "cannot open a socket")};
  ethtool_value state{};
  state.cmd = ETHTOOL_GLINK;
  ifreq request{};
  std::memcpy(request.ifr_name, interface.str().c_str(), interface.str().size());
  request.ifr_data = reinterpret_cast<char*>(&state);
  sys::check(::ioctl(socket.get(), SIOCETHTOOL, &request),
             fmt::format("cannot ask for the state of interface '{}'", interface.str()));
}

}  // namespace

std::filesystem::path bridge_lock(const std::filesystem::path& record) { return record.native() + ".lock"; }

std::optional<std::string> find_bridge_obstacle(const BridgeConfig& config) {
  try {
    refuse_unfit(config);
    check_place(Netlink{}.look_around(), config);
    return std::nullopt;
  } catch (const Error& error) {
    return error.what();
  }
}

unsigned way_out_mtu(const Surroundings& around) {
  constexpr unsigned ethernet_mtu = 1500;
  constexpr unsigned least_mtu = 576;
  unsigned mtu = ethernet_mtu;
  for (const auto& route : around.routes) {
    if (route.destination.prefix() != 0) continue;
    if (const auto* link = around.find(route.index)) mtu = std::min(mtu, link->mtu);
  }
  return std::max(mtu, least_mtu);
}

bool is_bridge_up(const BridgeConfig& config) {
  const auto link = Netlink{}.find_link(config.name);
  return link && link->up && link->alias == alias_of(config);
}

std::optional<std::string> find_subnet_conflict(const Surroundings& around, const BridgeConfig& config) {
  const auto name_of = [&](int index) {
    const auto* link = around.find(index);
    return link == nullptr ? std::string{"no interface"} : link->name;
  };
  for (const auto& entry : around.addresses) {
    const auto network = Ipv4Network::around(entry.address, entry.prefix);
    if (name_of(entry.index) != config.name.str() && network.overlaps(config.subnet)) {
      return fmt::format("{} overlaps the address {}/{} of {}", config.subnet.to_string(), entry.address.to_string(),
                         entry.prefix, name_of(entry.index));
    }
  }
  for (const auto& route : around.routes) {
    // 0.0.0.0/0, and the two halves that VPNs put over it, are for what nothing else is known about.
    if (route.destination.prefix() <= 1 || name_of(route.index) == config.name.str()) continue;
    if (route.destination.overlaps(config.subnet)) {
      return fmt::format("{} overlaps the route to {} on {}", config.subnet.to_string(), route.destination.to_string(),
                         name_of(route.index));
    }
  }
  return std::nullopt;
}

void ensure_bridge(const BridgeConfig& config, const std::filesystem::path& record) {
  refuse_unfit(config);
  const auto& name = config.name;
  const auto turn = take_turn(record);
  Netlink netlink;
  const auto around = netlink.look_around();
  check_place(around, config);
  const auto mtu = config.mtu ? *config.mtu : way_out_mtu(around);
  const auto* there = around.find(name);
  if (there == nullptr) netlink.create_bridge(name, MacAddress::for_address(config.gateway), mtu);
  const auto link = there != nullptr ? *there : netlink.get_link(name);
  if (link.alias.empty()) netlink.set_alias(link.index, alias_of(config));
  if (link.mac != MacAddress::for_address(config.gateway)) {
    netlink.set_mac(link.index, MacAddress::for_address(config.gateway));
  }
  if (link.mtu != mtu) netlink.set_mtu(link.index, mtu);

  bool has_address = false;
  for (const auto& entry : around.addresses) {
    if (entry.index != link.index) continue;
    if (entry.address != config.gateway || entry.prefix != config.subnet.prefix()) {
      throw Error{
          ErrorCode::InvalidState,
          fmt::format("bridge '{}' has address {}/{} instead of {}/{}; stop all machines and remove it: ip link "
                      "delete {}",
                      name.str(), entry.address.to_string(), entry.prefix, config.gateway.to_string(),
                      config.subnet.prefix(), name.str())};
    }
    has_address = true;
  }
  if (!has_address) netlink.add_address(link.index, config.gateway, config.subnet.prefix());
  configure_sysctls(name);
  if (config.forwarding) set_forwarding(record);
  if (!link.up) netlink.set_up(link.index, true);
}

bool remove_bridge(const BridgeConfig& config, const std::filesystem::path& record) {
  const auto turn = take_turn(record);
  Netlink netlink;
  const auto link = netlink.find_link(config.name);
  if (link) {
    refuse_foreign_bridge(config, *link);
    const auto links = netlink.links();
    const auto ports =
        std::count_if(links.begin(), links.end(), [&](const Link& l) { return l.master == link->index; });
    if (ports != 0) {
      throw Error{ErrorCode::InvalidState, fmt::format("bridge '{}' has {} machine{} attached; stop them first",
                                                       config.name.str(), ports, ports == 1 ? "" : "s")};
    }
    netlink.delete_link(config.name);
  }
  auto changes = read_changes(record);
  bool restored = false;
  for (const auto& change : changes) {
    if (change.network_namespace != current_network_namespace()) continue;
    set_sysctl(ip_forward, change.ip_forward_before);
    restored = true;
  }
  std::erase_if(
      changes, [here = current_network_namespace()](const Change& change) { return change.network_namespace == here; });
  write_changes(record, changes);
  return link.has_value() || restored;
}

void attach_port(const BridgeConfig& config, const InterfaceName& port, Ipv4Address address) {
  Netlink netlink;
  const auto bridge = netlink.get_link(config.name);
  const auto link = netlink.get_link(port);
  const auto mac = MacAddress::for_address(address);
  // Up last: until everything else is in place, nothing passes.
  if (link.mtu != bridge.mtu) netlink.set_mtu(link.index, bridge.mtu);
  netlink.disable_ipv6_addresses(link.index);
  if (link.master != bridge.index) netlink.set_master(link.index, bridge.index);
  netlink.configure_port(link.index, PortOptions{});
  netlink.pin_mac(link.index, mac);
  netlink.pin_neighbour(bridge.index, address, mac);
  if (!link.up) netlink.set_up(link.index, true);
  settle_port(config, port);
}

void settle_port(const BridgeConfig& config, const InterfaceName& port) {
  settle(port);
  settle(config.name);
}

void remove_ports(const BridgeConfig& config, std::span<const InterfaceName> keep) {
  Netlink netlink;
  const auto bridge = netlink.find_link(config.name);
  if (!bridge || bridge->alias != alias_of(config)) return;
  for (const auto& link : netlink.links()) {
    const bool ours = link.master == bridge->index && link.name.starts_with(config.name.str() + "-");
    const auto is_named = [&](const InterfaceName& name) { return name.str() == link.name; };
    if (ours && std::ranges::none_of(keep, is_named)) netlink.delete_link(InterfaceName{link.name});
  }
}

void forget_neighbour(const BridgeConfig& config, Ipv4Address address) {
  Netlink netlink;
  if (const auto bridge = netlink.find_link(config.name)) netlink.unpin_neighbour(bridge->index, address);
}

void detach_port(const BridgeConfig& config, const InterfaceName& port, Ipv4Address address) {
  Netlink netlink;
  const auto bridge = netlink.find_link(config.name);
  if (!bridge) return;
  netlink.unpin_neighbour(bridge->index, address);
  if (const auto link = netlink.find_link(port); link && link->master == bridge->index) {
    netlink.set_up(link->index, false);
    netlink.set_master(link->index, 0);
  }
}

void allow_loopback(const BridgeConfig& config) {
  set_sysctl(fmt::format("ipv4/conf/{}/route_localnet", config.name.str()), "1");
}

}  // namespace fireclaw::net
