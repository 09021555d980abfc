#include "core/networks/connection.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "base/scope.hpp"
#include "core/networks/destinations.hpp"
#include "core/networks/gateway.hpp"
#include "fireclaw/error.hpp"
#include "net/firewall/openings.hpp"
#include "state/records/run_policy.hpp"
#include "state/settings/sandbox.hpp"
#include "sys/fd.hpp"
#include "sys/random.hpp"

namespace fireclaw::core {
namespace {

constexpr std::string_view device_id = "eth0";
/// What the device is born with. The guest is told its own before it is used.
constexpr std::string_view device_mac = "02:fc:0a:00:02:0f";

// The addresses of QEMU's user-mode network, which are the same for every machine.
constexpr std::string_view user_address = "10.0.2.15/24";
constexpr std::string_view user_nameserver = "10.0.2.3";

/// How long the addresses are open that allowed names have at a machine's start.
constexpr std::chrono::minutes first_opening{10};

net::Egress to_net(Egress egress) {
  switch (egress) {
    case Egress::None: return net::Egress::None;
    case Egress::Allowlist: return net::Egress::Allowlist;
    case Egress::Internet: return net::Egress::Internet;
  }
  throw Error{ErrorCode::Internal, "unknown egress policy"};
}

net::ServiceAccess to_net(GatewayServices services) {
  switch (services) {
    case GatewayServices::None: return net::ServiceAccess::None;
    case GatewayServices::Names: return net::ServiceAccess::Names;
    case GatewayServices::All: return net::ServiceAccess::All;
  }
  throw Error{ErrorCode::Internal, "unknown access to services"};
}

void check_options(const NatOptions& options) {
  for (const auto& text : options.allow) static_cast<void>(parse_allowed(text));
  if (options.egress == Egress::None && !options.allow.empty()) {
    throw Error{ErrorCode::InvalidArgument,
                fmt::format("'{}' cannot be allowed with egress \"none\"; use \"allowlist\"", options.allow.front())};
  }
  if (options.mib_per_second > state::most_mib_per_second) {
    throw Error{ErrorCode::InvalidArgument, fmt::format("a network's rate must be 1 to {} MiB a second, not {}",
                                                        state::most_mib_per_second, options.mib_per_second)};
  }
  for (const auto& text : options.allow_http) {
    if (net::NamedDestination::parse(text).protocol == net::Protocol::Udp) {
      throw Error{ErrorCode::InvalidArgument, fmt::format("'{}': web servers are reached by TCP", text)};
    }
  }
  if (options.services == GatewayServices::None && !options.allow_http.empty()) {
    throw Error{ErrorCode::InvalidArgument,
                fmt::format("'{}' is reached through the gateway, and the machine may use none of its services",
                            options.allow_http.front())};
  }
  std::vector<net::Publication> ports;
  for (const auto& text : options.publish) {
    const auto port = net::Publication::parse(text);
    const bool twice = std::ranges::any_of(ports, [&](const net::Publication& other) {
      return other.host_address == port.host_address && other.host_port == port.host_port &&
             other.protocol == port.protocol;
    });
    if (twice) throw Error{ErrorCode::InvalidArgument, fmt::format("'{}' is published twice", text)};
    ports.push_back(port);
  }
}

/// A port that is in use: Error(AlreadyExists) if what listens there does so for another machine.
void refuse_published_port(const Host::Impl& host, const net::Publication& port) {
  for (const auto& run : host.runs.list()) {
    if (!run.nat || !state::is_running(run)) continue;
    for (const auto& text : run.nat->publish) {
      const auto taken = net::Publication::parse(text);
      const bool same_address = taken.host_address == port.host_address || taken.host_address == net::Ipv4Address{} ||
                                port.host_address == net::Ipv4Address{};
      if (!same_address || taken.host_port != port.host_port || taken.protocol != port.protocol) continue;
      throw port.taken_by(run.nat->address);
    }
  }
}

/// Packets for a published port never reach a program of the host that listens on it: the program that has it must keep
/// it.
void refuse_used_port(const net::Publication& port) {
  const bool tcp = port.protocol == net::Protocol::Tcp;
  const sys::Fd socket{sys::check(::socket(AF_INET, (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0), "socket")};
  // Connections of the past that linger are in nobody's way.
  const int reuse = tcp ? 1 : 0;
  sys::check(::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof reuse), "SO_REUSEADDR");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port.host_port);
  address.sin_addr.s_addr = htonl(port.host_address.bits());
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return;
  // A low port: others may not use it either.
  if (errno != EACCES) refuse_port(port, errno);
}

/// Where machines find the gateway's HTTP proxy. Error(InvalidArgument) if there is none.
std::string proxy_url(const net::NetworkPolicy& policy) {
  if (policy.http_port) return fmt::format("http://{}:{}", policy.gateway.to_string(), *policy.http_port);
  throw Error{ErrorCode::InvalidArgument,
              "web servers are reached by name through the gateway, and none runs: port 53 must be among its services"};
}

bool leads_from_loopback(const net::Publication& port) {
  return port.host_address == net::Ipv4Address{} || net::Ipv4Network::parse("127.0.0.0/8").contains(port.host_address);
}

}  // namespace

VmNetwork::VmNetwork(const Host::Impl& host, bool nic, NetworkMode mode, const NatOptions& options,
                     const vmm::Capabilities& capabilities, const std::string& engine)
    : host_{host},
      logger_{host.logger},
      nic_{nic},
      mode_{mode},
      options_{options},
      tap_by_descriptor_{capabilities.tap_descriptors},
      can_lead_nowhere_{capabilities.unconnected_nics} {
  switch (mode) {
    case NetworkMode::None: return;
    case NetworkMode::User:
      if (!capabilities.user_network) {
        throw Error{ErrorCode::Unsupported,
                    fmt::format("{} has no user-mode network; use --net nat, --net none, or --engine qemu", engine)};
      }
      return;
    case NetworkMode::Nat: check_options(options_); return;
  }
}

VmNetwork::VmNetwork(const Host::Impl& host, const state::RunRecord& record)
    : host_{host}, logger_{host.logger}, nic_{record.nic}, mode_{network_mode_from_string(record.network)} {
  if (!record.nat || !record.process) return;
  policy_ = state::to_policy(*record.nat);
  anchor_ = record.nat->anchor;
  lease_ = net::Lease{policy_->address, record.id, policy_->tap, *record.process};
}

void VmNetwork::Wishes::add(const AllowedDestination& destination) {
  if (const auto* plain = std::get_if<net::Destination>(&destination)) return allow.push_back(*plain);
  const auto& named = std::get<NamedDestination>(destination);
  names.push_back(named);
  if (named.is_wildcard()) return;
  const auto addresses = resolve(named);
  found.insert(found.end(), addresses.begin(), addresses.end());
}

void VmNetwork::Wishes::follow_no_names() {
  const auto wildcard = std::ranges::find_if(names, &NamedDestination::is_wildcard);
  if (wildcard != names.end()) {
    throw Error{
        ErrorCode::InvalidArgument,
        fmt::format("'{}' is opened as names are asked for, and the machine cannot ask the gateway: port 53 must "
                    "be among its services",
                    wildcard->to_string())};
  }
  names.clear();
  allow.insert(allow.end(), found.begin(), found.end());
  found.clear();
}

void VmNetwork::make_tap(const net::InterfaceName& name, std::optional<uid_t> engine_user) {
  if (tap_by_descriptor_) {
    tap_.emplace(net::Tap::create(name, net::TapHeader::None));
  } else {
    named_tap_.emplace(net::NamedTap::create(name, engine_user));
  }
}

void VmNetwork::prepare() {
  const bool leads_nowhere = mode_ == NetworkMode::None && !can_lead_nowhere_;
  if (!nic_ || (mode_ != NetworkMode::Nat && !leads_nowhere)) return;
  if (mode_ == NetworkMode::Nat) network_.emplace(host_);
  tap_name_ =
      leads_nowhere ? net::InterfaceName{"fc-" + sys::random_hex(4)} : net::random_tap_name(network_->bridge().name);
  if (may_configure_network()) {
    // A host without nftables says so before the engine starts.
    if (network_) static_cast<void>(network_->firewall());
    return;
  }
  anchored_.emplace(Anchor::ensure(host_));
  anchor_ = anchored_->holder();
}

void VmNetwork::connect(state::RunRecord& record, std::optional<uid_t> engine_user) {
  if (!tap_name_) return;
  if (mode_ != NetworkMode::Nat) {
    // A tap that nothing is attached to.
    if (anchored_) return make_spare_tap();
    named_tap_.emplace(net::NamedTap::create(*tap_name_, engine_user));
    return;
  }
  Wishes wishes;
  for (const auto& text : options_.allow) wishes.add(parse_allowed(text));
  for (const auto& text : options_.publish) wishes.publish.push_back(net::Publication::parse(text));
  try {
    if (!anchored_) {
      for (const auto& port : wishes.publish) refuse_used_port(port);
    }
    entrances_ = Entrances::open(wishes.publish, anchored_.has_value());
  } catch (const Error& problem) {
    if (problem.code() != ErrorCode::AlreadyExists) throw;
    for (const auto& port : wishes.publish) refuse_published_port(host_, port);
    throw;
  }
  if (!anchored_) {
    connect_here(record, std::move(wishes), engine_user);
  } else {
    // The firewall has nothing to do with them.
    wishes.publish.clear();
    connect_in_anchor(record, std::move(wishes));
  }
}

void VmNetwork::make_spare_tap() {
  anchored_->run([&](const Logger&) -> std::optional<sys::Fd> {
    net::NamedTap::create(*tap_name_).keep();
    return std::nullopt;
  });
  spare_tap_ = true;
}

void VmNetwork::connect_here(state::RunRecord& record, Wishes wishes, std::optional<uid_t> engine_user) {
  // In an anchor's namespaces this runs in a child, and what it entered them by is the parent's.
  ScopeGuard undo{[this] { this->undo(false); }};
  const bool asks = options_.services != GatewayServices::None && network_->serves_names();
  if (!asks) wishes.follow_no_names();
  {
    const auto turn = network_->take_turn();
    network_->ensure();
    network_->reclaim();
    lease_ = network_->pool().allocate(record.owner, record.id, std::nullopt, tap_name_).lease;
    policy_ = net::VmPolicy{lease_->tap,
                            lease_->mac(),
                            lease_->address,
                            to_net(options_.egress),
                            std::move(wishes.allow),
                            to_net(options_.services),
                            std::move(wishes.publish),
                            options_.mib_per_second};
    // Before the firewall knows the machine: who loads it again takes the machines from their records.
    record.nat = state::to_record(*policy_);
    for (const auto& named : wishes.names) record.nat->allow_names.push_back(named.to_string());
    if (!options_.allow_http.empty()) {
      record.nat->allow_http = options_.allow_http;
      record.nat->http_proxy = proxy_url(network_->policy());
    }
    record.nat->anchor = place_.anchor;
    host_.runs.change(record.id, [&](state::RunRecord& now) {
      now.nat = record.nat;
      now.cgroup = record.cgroup;
    });
  }
  make_tap(lease_->tap, engine_user);
  network_->firewall().add_vm(*policy_);
  // Until the machine asks itself: it can know addresses from before.
  net::Openings{network_->bridge().name, net::Openings::open_socket()}.open(*policy_, wishes.found, first_opening);
  if (std::ranges::any_of(policy_->publish, leads_from_loopback)) net::allow_loopback(network_->bridge());
  net::attach_port(network_->bridge(), lease_->tap, lease_->address);
  undo.release();
}

/// The anchor's namespaces are entered by a child, which does all of it; what it has made comes back as the record and
/// the tap's descriptor.
void VmNetwork::connect_in_anchor(state::RunRecord& record, Wishes wishes) {
  {
    const auto turn = network_->take_turn();
    ensure_gateway(host_, network_->policy(), &*anchored_);
  }
  const NatPlace place{NatPlace::Kind::Anchored, anchor_, host_addresses()};
  auto tap = anchored_->run([&](const Logger& logger) -> std::optional<sys::Fd> {
    place_ = place;
    logger_ = logger;
    network_.emplace(host_, place_, logger_);
    connect_here(record, std::move(wishes), std::nullopt);
    if (tap_) return sys::duplicate(tap_->fd());
    named_tap_->keep();
    return std::nullopt;
  });
  const auto connected = host_.runs.find(record.id);
  if (!connected || !connected->nat) throw Error{ErrorCode::Internal, "the network has left no record"};
  record.nat = connected->nat;
  policy_ = state::to_policy(*record.nat);
  lease_ = net::Lease{policy_->address, record.id, policy_->tap, record.owner};
  if (tap) tap_.emplace(net::Tap::adopt(lease_->tap, std::move(*tap)));
}

void VmNetwork::add_device(vmm::LaunchSpec& spec) {
  if (!nic_) return;
  // The engine, whose end nobody waits for, closes it last. It has no right to do anything by it.
  lends_socket_ = network_ && !anchored_ && spec.die_with_parent;
  if (lends_socket_) spec.inherit.push_back(network_->firewall().socket());
  vmm::Nic nic{std::string{device_id}, std::string{device_mac}, vmm::NoBackend{}};
  if (tap_) {
    nic.backend = vmm::TapBackend{tap_->name().str(), tap_->fd()};
  } else if (tap_name_) {
    nic.backend = vmm::TapBackend{tap_name_->str()};
    if (anchored_) {
      spec.network_namespace = {anchored_->namespaces().user.get(), anchored_->namespaces().network.get()};
    }
  } else if (mode_ == NetworkMode::User) {
    nic.backend = vmm::UserBackend{};
  }
  spec.nics.push_back(std::move(nic));
}

void VmNetwork::describe(guest::Identity& identity) const {
  if (!nic_) return;
  guest::Identity::Interface interface;
  interface.name = device_id;
  interface.mac = device_mac;
  switch (mode_) {
    case NetworkMode::None: break;
    case NetworkMode::User:
      interface.address = user_address;
      interface.gateway = user_network_host;
      identity.nameservers = {std::string{user_nameserver}};
      break;
    case NetworkMode::Nat: {
      const auto& shared = network_->policy();
      interface.address = fmt::format("{}/{}", policy_->address.to_string(), shared.subnet.prefix());
      interface.gateway = shared.gateway.to_string();
      interface.mac = policy_->mac.to_string();
      if (policy_->services != net::ServiceAccess::None && network_->serves_names()) {
        identity.nameservers = {shared.gateway.to_string()};
      } else if (const auto resolver = find_outer_resolver(*network_)) {
        identity.nameservers = {resolver->to_string()};
      }
      break;
    }
  }
  identity.interface = std::move(interface);
}

void VmNetwork::hand_over(const sys::ProcessId& engine, bool detached) {
  tap_.reset();
  anchored_.reset();
  tap_stays_ = false;
  if (anchor_) {
    const auto anchor = Anchor::find(host_);
    if (!anchor || anchor->holder() != *anchor_) {
      throw Error{ErrorCode::InvalidState, "the process that kept the machine's network has ended"};
    }
    if (!tap_by_descriptor_) {
      const auto refusal = anchor->ask([&](const Logger& logger) {
        logger_ = logger;
        named_tap_.emplace(net::NamedTap::adopt(*tap_name_));
        return hand_over_tap(engine, true);
      });
      tap_stays_ = !refusal.empty();
      spare_tap_ = false;
    }
    if (lease_) entrances_.serve(host_, lease_->address, engine, &*anchor, detached);
  } else {
    tap_stays_ = !hand_over_tap(engine, detached).empty();
    if (lease_) entrances_.serve(host_, lease_->address, engine, nullptr, detached);
  }
  if (!lease_ || !detached) return;
  network_->pool().transfer(lease_->address, lease_->run, engine);
  lease_->holder = engine;
}

/// Returns why the tap stays until disconnect(), no matter who calls that: its name is in the record. Empty: it goes
/// with the engine.
std::string VmNetwork::hand_over_tap(const sys::ProcessId& engine, bool detached) {
  std::string refusal;
  if (named_tap_) {
    try {
      named_tap_->hand_over(engine);
      named_tap_.reset();
    } catch (const Error& problem) {
      if (problem.code() != ErrorCode::PermissionDenied) throw;
      refusal = problem.what();
      logger_.debug(refusal);
      if (detached) named_tap_->keep();
    }
  }
  // An engine that opens its tap by name has plugged it in only now.
  if (lease_ && !tap_by_descriptor_) net::settle_port(network_->bridge(), lease_->tap);
  return refusal;
}

/// While this process has the address on loan, others change only what its machine may reach: the turn is needed until
/// the firewall has shut it out.
void VmNetwork::undo_ours(bool keep_tap) {
  {
    const auto turn = network_->take_turn();
    if (const auto record = host_.runs.find(lease_->run); record && record->nat && policy_) {
      policy_ = state::to_policy(*record->nat);
    }
    if (policy_) network_->firewall().remove_vm(*policy_);
  }
  if (keep_tap) {
    net::forget_neighbour(network_->bridge(), lease_->address);
  } else {
    net::detach_port(network_->bridge(), lease_->tap, lease_->address);
    net::Netlink{}.delete_link(lease_->tap);
  }
  network_->pool().release(lease_->address, lease_->run);
}

/// The loan of a detached machine ended with its engine, and others may have taken the address back since.
void VmNetwork::undo_others() {
  const auto turn = network_->take_turn();
  for (const auto& lease : network_->pool().list()) {
    if (lease.address == lease_->address && lease.run == lease_->run) network_->disconnect(lease);
  }
}

/// The engine has not taken it.
void VmNetwork::remove_spare_tap() noexcept {
  try {
    if (const auto anchor = Anchor::find(host_)) {
      anchor->run([&](const Logger&) -> std::optional<sys::Fd> {
        net::Netlink{}.delete_link(*tap_name_);
        return std::nullopt;
      });
    }
  } catch (const std::exception& problem) {
    logger_.warning(fmt::format("interface {} stays: {}", tap_name_->str(), problem.what()));
  }
  spare_tap_ = false;
}

void VmNetwork::undo_here(bool ours, bool keep_tap) {
  if (!network_) network_.emplace(host_, place_, logger_);
  if (ours) {
    undo_ours(keep_tap);
  } else {
    undo_others();
  }
}

void VmNetwork::disconnect() noexcept {
  undo(false);
  anchored_.reset();
}

/// The kernel takes 15 to 30 ms to remove an interface. Nobody can change another one meanwhile.
std::optional<sys::EndingChild> VmNetwork::leave() noexcept { return undo(true); }

std::optional<sys::EndingChild> VmNetwork::undo(bool keep_tap) noexcept {
  std::optional<sys::EndingChild> child;
  tap_.reset();
  named_tap_.reset();
  entrances_ = Entrances{};
  if (spare_tap_) remove_spare_tap();
  if (!lease_) return child;
  try {
    const bool ours = lease_->holder == sys::current_process();
    if (!anchor_) {
      undo_here(ours, keep_tap);
    } else if (const auto anchor = Anchor::find(host_); anchor && anchor->holder() == *anchor_) {
      const NatPlace place{NatPlace::Kind::Anchored, anchor_, host_addresses()};
      child.emplace(anchor->run_unwaited([&](const Logger& logger) {
        place_ = place;
        logger_ = logger;
        network_.reset();
        undo_here(ours, keep_tap);
      }));
    } else {
      NatNetwork{host_}.pool().release(lease_->address, lease_->run);
    }
  } catch (const std::exception& problem) {
    logger_.warning(fmt::format("{} of VM {} stays on loan until it is collected: {}", lease_->address.to_string(),
                                lease_->run, problem.what()));
  }
  // While an engine that still runs has the copy of the firewall's socket that is closed last.
  network_.reset();
  lease_.reset();
  policy_.reset();
  return child;
}

}  // namespace fireclaw::core
