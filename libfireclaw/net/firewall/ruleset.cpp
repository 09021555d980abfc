#include "net/firewall/ruleset.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include "fireclaw/error.hpp"
#include "sys/digest.hpp"

namespace fireclaw::net {
namespace {

constexpr std::uint16_t dns_port = 53;

std::string joined(const std::vector<Ipv4Network>& networks) {
  std::vector<std::string> texts;
  for (const auto& network : networks) {
    texts.push_back(network.prefix() == 32 ? network.base().to_string() : network.to_string());
  }
  return fmt::format("{}", fmt::join(texts, ", "));
}

// The sets and maps that hold the machines, with their families.
struct Elements {
  std::string_view family;
  std::string_view set;
  std::vector<std::string> entries;
};

/// `entries` without those that others contain: nft refuses to store overlapping intervals.
std::vector<Destination> without_contained(std::vector<Destination> entries) {
  std::sort(entries.begin(), entries.end());
  entries.erase(std::unique(entries.begin(), entries.end()), entries.end());
  std::vector<Destination> kept;
  for (const auto& entry : entries) {
    const bool contained = std::any_of(entries.begin(), entries.end(), [&](const Destination& other) {
      return other != entry && other.network.contains(entry.network) && other.port == entry.port &&
             other.protocol == entry.protocol;
    });
    if (!contained) kept.push_back(entry);
  }
  return kept;
}

/// The entries without a port.
std::vector<Destination> whole_networks(const std::vector<Destination>& allow) {
  std::vector<Destination> chosen;
  for (const auto& entry : allow) {
    if (!entry.port) chosen.push_back({entry.network, std::nullopt, std::nullopt});
  }
  return without_contained(std::move(chosen));
}

/// The entries with a port, once for each protocol meant.
std::vector<Destination> single_ports(const std::vector<Destination>& allow) {
  std::vector<Destination> chosen;
  for (const auto& entry : allow) {
    for (const auto protocol : {Protocol::Tcp, Protocol::Udp}) {
      if (entry.port && entry.protocol.value_or(protocol) == protocol) {
        chosen.push_back({entry.network, entry.port, protocol});
      }
    }
  }
  return without_contained(std::move(chosen));
}

std::vector<Elements> elements_of(const VmPolicy& vm) {
  const auto address = vm.address.to_string();
  std::vector<Elements> all;
  all.push_back({"bridge", "sources", {fmt::format("\"{}\" . {} . {}", vm.tap.str(), vm.mac.to_string(), address)}});
  all.push_back({"inet", "egress", {fmt::format("{} : goto {}", address, egress_chain(vm.egress))}});
  for (const auto* set : address_sets(vm)) all.push_back({"inet", set, {address}});

  if (vm.mib_per_second != 0) {
    all.push_back({"inet",
                   "rates",
                   {fmt::format("{} limit rate over {} mbytes/second burst 64 kbytes", address, vm.mib_per_second)}});
  }

  Elements networks{"inet", "allowed_networks", {}};
  for (const auto& entry : whole_networks(vm.allow)) {
    networks.entries.push_back(fmt::format("{} . {}", address, entry.network.to_string()));
  }
  Elements ports{"inet", "allowed_ports", {}};
  for (const auto& entry : single_ports(vm.allow)) {
    ports.entries.push_back(
        fmt::format("{} . {} . {} . {}", address, entry.network.to_string(), to_string(*entry.protocol), *entry.port));
  }
  Elements published{"inet", "published", {}};
  Elements published_at{"inet", "published_at", {}};
  for (const auto& port : vm.publish) {
    const auto rule =
        fmt::format("{} . {} : {} . {}", to_string(port.protocol), port.host_port, address, port.guest_port);
    if (port.host_address == Ipv4Address{}) {
      published.entries.push_back(rule);
    } else {
      published_at.entries.push_back(fmt::format("{} . {}", port.host_address.to_string(), rule));
    }
  }
  for (auto* elements : {&networks, &ports, &published, &published_at}) {
    if (!elements->entries.empty()) all.push_back(std::move(*elements));
  }
  return all;
}

/// The commands for what `of` has and `beyond` has not.
std::string difference_commands(std::string_view verb, const NetworkPolicy& policy, const VmPolicy& of,
                                const VmPolicy& beyond) {
  std::string text;
  const auto others = elements_of(beyond);
  for (auto& elements : elements_of(of)) {
    const auto same = std::ranges::find_if(
        others, [&](const Elements& other) { return other.family == elements.family && other.set == elements.set; });
    if (same != others.end()) {
      std::erase_if(elements.entries, [&](const std::string& entry) {
        return std::ranges::find(same->entries, entry) != same->entries.end();
      });
    }
    if (elements.entries.empty()) continue;
    text += fmt::format("{} element {} {} {} {{ {} }}\n", verb, elements.family, table_name(policy.bridge),
                        elements.set, fmt::join(elements.entries, ", "));
  }
  return text;
}

std::string element_commands(std::string_view verb, const NetworkPolicy& policy, const VmPolicy& vm) {
  std::string text;
  for (const auto& elements : elements_of(vm)) {
    text += fmt::format("{} element {} {} {} {{ {} }}\n", verb, elements.family, table_name(policy.bridge),
                        elements.set, fmt::join(elements.entries, ", "));
  }
  return text;
}

void validate(const NetworkPolicy& policy) {
  if (!policy.subnet.contains(policy.gateway)) {
    throw Error{ErrorCode::InvalidArgument, fmt::format("the gateway {} is not in the subnet {}",
                                                        policy.gateway.to_string(), policy.subnet.to_string())};
  }
  if (policy.new_connections_per_second == 0 || policy.connections == 0) {
    throw Error{ErrorCode::InvalidArgument, "a limit of 0 would allow no connection at all"};
  }
}

void validate(const NetworkPolicy& policy, const VmPolicy& vm) {
  const auto address = vm.address;
  if (!policy.subnet.contains(address) || address == policy.gateway || address == policy.subnet.base() ||
      address == policy.subnet.last()) {
    throw Error{ErrorCode::InvalidArgument,
                fmt::format("{} is not a machine's address in {}", address.to_string(), policy.subnet.to_string())};
  }
  if (!vm.tap.str().starts_with(tap_prefix(policy.bridge))) {
    throw Error{ErrorCode::InvalidArgument,
                fmt::format("interface '{}' cannot be a tap of {}: its name must start with '{}'", vm.tap.str(),
                            policy.bridge.str(), tap_prefix(policy.bridge))};
  }
  for (const auto& port : vm.publish) {
    if (port.host_port == 0 || port.guest_port == 0) {
      throw Error{ErrorCode::InvalidArgument, fmt::format("'{}': port 0 cannot be published", port.to_string())};
    }
  }
}

std::string joined_services(const NetworkPolicy& policy) {
  std::vector<std::string> ports;
  for (const auto& service : policy.services) {
    ports.push_back(fmt::format("{} . {}", to_string(service.protocol), service.port));
  }
  return ports.empty() ? "" : fmt::format("\n    elements = {{ {} }}", fmt::join(ports, ", "));
}

/// A service that is not served at the gateway's own address and port, and where it is.
struct Redirection {
  Service service;
  std::string address;
  std::uint16_t port = 0;
};

std::vector<Redirection> redirections_of(const NetworkPolicy& policy) {
  std::vector<Redirection> found;
  for (const auto& service : policy.services) {
    if (service.on_loopback) {
      found.push_back({service, "127.0.0.1", service.port});
    } else if (policy.names_port && service.port == dns_port) {
      found.push_back({service, policy.gateway.to_string(), *policy.names_port});
    }
  }
  return found;
}

/// The rules that lead there, and those that let through what was led there.
std::pair<std::string, std::string> redirection_rules(const NetworkPolicy& policy) {
  std::string redirect;
  std::string accept;
  const auto gateway = policy.gateway.to_string();
  for (const auto& [service, address, port] : redirections_of(policy)) {
    const auto protocol = to_string(service.protocol);
    const auto* const clients = service.port == dns_port ? "name_clients" : "clients";
    redirect += fmt::format("    iifname \"{}\" ip daddr {} ip saddr @{} {} dport {} dnat ip to {}{}\n",
                            policy.bridge.str(), gateway, clients, protocol, service.port, address,
                            port == service.port ? std::string{} : fmt::format(":{}", port));
    accept += fmt::format("    ip saddr @{} ct status dnat ct original ip daddr {} ip daddr {} {} dport {} accept\n",
                          clients, gateway, address, protocol, port);
  }
  return {redirect, accept};
}

/// Says that a packet is refused, at a pace: `whose` names whose packets are counted together, in the set `seen`.
std::string note(const NetworkPolicy& policy, std::string_view seen, std::string_view whose, std::string_view rule) {
  if (!policy.log_refusals) return {};
  return fmt::format("update @{} {{ {} limit rate 5/second burst 20 packets }} log prefix \"{}\" group {}", seen, whose,
                     rule, log_group(policy.bridge));
}

/// A chain for each rule that refuses what is routed: "drop_<rule>" and "refuse_<rule>".
std::string refusing_chains(const NetworkPolicy& policy) {
  std::string text;
  for (const auto& [rule, answered, reason] : refusal_rules) {
    if (rule == spoofed_rule) continue;
    const auto noted = note(policy, "refused", "ip saddr", rule);
    text += fmt::format("  chain {}_{} {{\n{}    {}\n  }}\n", answered ? "refuse" : "drop", rule,
                        noted.empty() ? "" : "    " + noted + "\n", answered ? "goto refuse" : "drop");
  }
  return text;
}

/// What of a machine's frames is worth a note: those to the gateway under another's address, and questions for another
/// machine's hardware address, which come before the first packet to it.
std::string refused_frames(const NetworkPolicy& policy) {
  if (!policy.log_refusals) return {};
  return fmt::format(
      "    ether type {{ ip, arp }} ether daddr {} {}\n"
      "    ether type arp arp operation request arp daddr ip != {} iifname . ether saddr . arp saddr ip @sources {}\n",
      MacAddress::for_address(policy.gateway).to_string(), note(policy, "refused_frames", "iifname", spoofed_rule),
      policy.gateway.to_string(), note(policy, "refused_frames", "iifname", "machine"));
}

/// Both tables but for their machines and the chain that names them.
std::string tables(const NetworkPolicy& policy, std::string_view policy_chain) {
  const auto [redirect, accept_redirected] = redirection_rules(policy);
  std::vector<std::string> hosts;
  for (const auto address : policy.host_addresses) hosts.push_back(address.to_string());
  const auto host_addresses =
      hosts.empty() ? std::string{} : fmt::format("    ip daddr {{ {} }} goto drop_host\n", fmt::join(hosts, ", "));
  const auto proxy = policy.http_port ? fmt::format("    ip saddr @name_clients ip daddr {} tcp dport {} accept\n",
                                                    policy.gateway.to_string(), *policy.http_port)
                                      : std::string{};
  const std::string_view ping = policy.ping ? "    icmp type echo-request limit rate 100/second accept\n" : "";
  return fmt::format(
      R"(table inet {table} {{
  comment "fireclaw's own: changes are overwritten"
  set services {{
    type inet_proto . inet_service{services}
  }}
  set clients {{
    type ipv4_addr
  }}
  set name_clients {{
    type ipv4_addr
  }}
  set allowed_networks {{
    type ipv4_addr . ipv4_addr
    flags interval
  }}
  set allowed_ports {{
    type ipv4_addr . ipv4_addr . inet_proto . inet_service
    flags interval
  }}
  set named_addresses {{
    type ipv4_addr . ipv4_addr
    size 65536
    flags timeout
  }}
  set named_ports {{
    type ipv4_addr . ipv4_addr . inet_proto . inet_service
    size 65536
    flags timeout
  }}
  set rates {{
    type ipv4_addr
    limit rate over 1 mbytes/second
  }}
  set talkers {{
    type ipv4_addr
    size 65536
    flags dynamic
  }}
  set connection_rate {{
    type ipv4_addr
    size 65536
    flags dynamic, timeout
    timeout 1m
  }}
  set connections {{
    type ipv4_addr
    size 65536
    flags dynamic
  }}
  set refused {{
    type ipv4_addr
    size 65536
    flags dynamic, timeout
    timeout 1m
  }}
  set services_only {{
    type ipv4_addr
  }}
  map published {{
    type inet_proto . inet_service : ipv4_addr . inet_service
  }}
  map published_at {{
    type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service
  }}
  map egress {{
    type ipv4_addr : verdict
  }}
  chain {policy_chain} {{
  }}
  chain refuse {{
    meta l4proto tcp reject with tcp reset
    reject with icmpx admin-prohibited
  }}
{refusing_chains}  chain new_connection {{
    update @connection_rate {{ ip saddr limit rate over {rate}/second burst {rate} packets }} goto drop_rate
    add @connections {{ ip saddr ct count over {connections} }} goto drop_connections
    add @talkers {{ ip saddr }}
  }}
  chain egress_none {{
    goto refuse_egress
  }}
  chain egress_allowlist {{
    ip saddr . ip daddr @allowed_networks accept
    meta l4proto {{ tcp, udp }} ip saddr . ip daddr . meta l4proto . th dport @allowed_ports accept
    ip saddr . ip daddr @named_addresses accept
    meta l4proto {{ tcp, udp }} ip saddr . ip daddr . meta l4proto . th dport @named_ports accept
    goto refuse_allowlist
  }}
  chain egress_internet {{
    ip saddr . ip daddr @allowed_networks accept
    meta l4proto {{ tcp, udp }} ip saddr . ip daddr . meta l4proto . th dport @allowed_ports accept
    ip daddr {{ {private_networks} }} goto refuse_private
    accept
  }}
  chain raw_from_vm {{
    meta nfproto != ipv4 drop
    ip saddr != {subnet} drop
    ip saddr {gateway} drop
    ip saddr @rates drop
    ip daddr {gateway} accept
    ip daddr {subnet} goto drop_machine
    ip daddr {{ {never} }} goto drop_reserved
{host_addresses}  }}
  chain raw_prerouting {{
    type filter hook prerouting priority raw; policy accept;
    iifname "{taps}*" drop
    iifname "{bridge}" goto raw_from_vm
    iifname != "lo" ip saddr {subnet} drop
  }}
  chain paced {{
    type filter hook postrouting priority filter; policy accept;
    oifname "{bridge}" ip daddr @rates drop
  }}
  chain redirected {{
{accept_redirected}  }}
  chain to_gateway {{
    ct state invalid drop
    ct state established,related accept
    jump new_connection
    ip saddr @clients ip daddr {gateway} meta l4proto . th dport @services accept
    ip saddr @name_clients ip daddr {gateway} meta l4proto {{ tcp, udp }} th dport 53 meta l4proto . th dport @services accept
{proxy}    jump redirected
    ip saddr @services_only goto refuse_service
{ping}    goto refuse_service
  }}
  chain input {{
    type filter hook input priority filter; policy accept;
    iifname "{bridge}" goto to_gateway
  }}
  chain output {{
    type filter hook output priority filter; policy accept;
    oifname "{taps}*" drop
  }}
  chain from_vm {{
    oifname "{bridge}" drop
    ct state invalid drop
    ct state established,related accept
    jump new_connection
    jump redirected
    ip saddr vmap @egress
    drop
  }}
  chain to_vm {{
    meta nfproto != ipv4 drop
    ct state invalid drop
    ct state established,related accept
    ct status dnat add @talkers {{ ip daddr }} accept
    drop
  }}
  chain forward {{
    type filter hook forward priority filter; policy accept;
    iifname "{bridge}" tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu
    oifname "{bridge}" tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu
    iifname "{bridge}" goto from_vm
    oifname "{bridge}" goto to_vm
  }}
  chain dstnat {{
    type nat hook prerouting priority dstnat; policy accept;
{redirect}    iifname "{bridge}" accept
    fib daddr type local dnat ip to ip daddr . meta l4proto . th dport map @published_at
    fib daddr type local dnat ip to meta l4proto . th dport map @published
  }}
  chain output_dstnat {{
    type nat hook output priority -100; policy accept;
    fib daddr type local dnat ip to ip daddr . meta l4proto . th dport map @published_at
    fib daddr type local dnat ip to meta l4proto . th dport map @published
  }}
  chain srcnat {{
    type nat hook postrouting priority srcnat; policy accept;
    oifname "{bridge}" ip saddr 127.0.0.0/8 masquerade
    oifname != "{bridge}" ip saddr {subnet} masquerade
  }}
}}
table bridge {table} {{
  comment "fireclaw's own: changes are overwritten"
  set sources {{
    type ifname . ether_addr . ipv4_addr
  }}
  set refused_frames {{
    type ifname
    size 65536
    flags dynamic, timeout
    timeout 1m
  }}
  chain from_tap {{
    ether type ip ether daddr {gateway_mac} iifname . ether saddr . ip saddr @sources accept
    ether type arp arp htype 1 arp ptype ip arp hlen 6 arp plen 4 arp operation {{ request, reply }} arp daddr ip {gateway} iifname . ether saddr . arp saddr ip @sources iifname . arp saddr ether . arp saddr ip @sources accept
{refused_frames}    drop
  }}
  chain prerouting {{
    type filter hook prerouting priority -300; policy accept;
    iifname "{taps}*" goto from_tap
  }}
  chain forward {{
    type filter hook forward priority -300; policy accept;
    iifname "{taps}*" drop
    oifname "{taps}*" drop
  }}
  chain postrouting {{
    type filter hook postrouting priority 0; policy accept;
    oifname "{taps}*" ether type != {{ ip, arp }} drop
  }}
}}
)",
      fmt::arg("table", table_name(policy.bridge)), fmt::arg("policy_chain", policy_chain),
      fmt::arg("services", joined_services(policy)), fmt::arg("rate", policy.new_connections_per_second),
      fmt::arg("connections", policy.connections), fmt::arg("private_networks", joined(private_networks())),
      fmt::arg("never", joined(never_reachable())), fmt::arg("subnet", policy.subnet.to_string()),
      fmt::arg("gateway", policy.gateway.to_string()),
      fmt::arg("gateway_mac", MacAddress::for_address(policy.gateway).to_string()),
      fmt::arg("bridge", policy.bridge.str()), fmt::arg("taps", tap_prefix(policy.bridge)), fmt::arg("ping", ping),
      fmt::arg("refusing_chains", refusing_chains(policy)), fmt::arg("refused_frames", refused_frames(policy)),
      fmt::arg("proxy", proxy), fmt::arg("host_addresses", host_addresses), fmt::arg("redirect", redirect),
      fmt::arg("accept_redirected", accept_redirected));
}

}  // namespace

std::string table_name(const InterfaceName& bridge) {
  return bridge == NetworkPolicy{}.bridge ? "fireclaw" : "fireclaw_" + bridge.str();
}

std::uint16_t log_group(const InterfaceName& bridge) {
  // The low ones are what other programs take.
  constexpr unsigned lowest = 0x8000;
  constexpr std::size_t digits = 4;
  constexpr int hexadecimal = 16;
  const auto hash = std::stoul(sys::sha256_hex(bridge.str()).substr(0, digits), nullptr, hexadecimal);
  return static_cast<std::uint16_t>(lowest | hash);
}

std::string policy_chain(const NetworkPolicy& policy) {
  return "policy_" + sys::sha256_hex(tables(policy, "policy")).substr(0, 16);
}

std::string full_ruleset(const NetworkPolicy& policy, std::span<const VmPolicy> vms) {
  validate(policy);
  // `add` before `delete`: deleting a table that is not there would fail the transaction.
  auto text = removal_commands(policy.bridge) + tables(policy, policy_chain(policy));
  for (const auto& vm : vms) {
    text += add_vm_commands(policy, vm);
    // It may have connections from before.
    text += fmt::format("add element inet {} talkers {{ {} }}\n", table_name(policy.bridge), vm.address.to_string());
  }
  return text;
}

std::string egress_chain(Egress egress) { return fmt::format("egress_{}", to_string(egress)); }

std::vector<const char*> address_sets(const VmPolicy& vm) {
  std::vector<const char*> sets;
  if (vm.services != ServiceAccess::None) sets.push_back("name_clients");
  if (vm.services == ServiceAccess::All) sets.push_back("clients");
  if (vm.services == ServiceAccess::All && vm.egress == Egress::None) sets.push_back("services_only");
  return sets;
}

std::string add_vm_commands(const NetworkPolicy& policy, const VmPolicy& vm) {
  validate(policy, vm);
  // "create" fails where "add" would keep what an earlier machine has left there.
  return element_commands("create", policy, vm);
}

std::string remove_vm_commands(const NetworkPolicy& policy, const VmPolicy& vm) {
  return element_commands("delete", policy, vm);
}

std::string change_vm_commands(const NetworkPolicy& policy, const VmPolicy& before, const VmPolicy& after) {
  validate(policy, after);
  return difference_commands("delete", policy, before, after) + difference_commands("add", policy, after, before);
}

std::string removal_commands(const InterfaceName& bridge) {
  std::string text;
  for (const auto* family : {"inet", "bridge"}) {
    text += fmt::format("add table {0} {1}\ndelete table {0} {1}\n", family, table_name(bridge));
  }
  return text;
}

}  // namespace fireclaw::net
