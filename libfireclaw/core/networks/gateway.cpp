#include "core/networks/gateway.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <span>
#include <utility>

#include <fmt/format.h>

#include "core/host/cgroups.hpp"
#include "core/networks/anchor.hpp"
#include "core/networks/nat.hpp"
#include "fireclaw/error.hpp"
#include "gateway/records/files.hpp"
#include "json/record.hpp"
#include "state/settings/gateway.hpp"
#include "sys/poll.hpp"
#include "sys/socket.hpp"

namespace fireclaw::core {

void describe(auto& field, json::Is<GatewayRecord> auto& record) {
  field.schema(1);
  field("process", record.process);
  field("address", record.address);
  field.later("irc_address", record.irc_address);
  field.rare("names", record.names, false);
  field.rare("http", record.http, false);
  field("network", record.network);
}

namespace {

constexpr int backlog = 256;
/// Where servers listen that machines reach without a gateway.
constexpr std::array<std::uint16_t, 1> llm_ports = {11434};
constexpr std::array<std::uint16_t, 2> irc_ports = {6667, 6697};
constexpr std::uint16_t dns_port = 53;
constexpr std::chrono::seconds end_patience{5};
constexpr off_t longest_log = 1 << 20;

bool is_long(int log) {
  struct stat about {};
  return ::fstat(log, &about) == 0 && about.st_size > longest_log;
}

std::filesystem::path set_aside(const std::filesystem::path& log) { return log.native() + ".1"; }

sys::Fd open_log(const std::filesystem::path& file) {
  auto log = sys::open_file(file, O_WRONLY | O_CREAT | O_APPEND);
  if (!is_long(log.get())) return log;
  std::filesystem::rename(file, set_aside(file));
  return sys::open_file(file, O_WRONLY | O_CREAT | O_APPEND);
}

gateway::Place place_of(const Anchor* anchor) {
  return anchor != nullptr ? gateway::Place::Anchor : gateway::Place::Host;
}

/// It stands beside guestd.
std::filesystem::path find_program(const Host::Impl& host) {
  auto program = host.guestd().replace_filename("gateway");
  if (!std::filesystem::exists(program)) {
    throw Error{ErrorCode::NotFound, fmt::format("'{}' is not installed; reinstall fireclaw", program.native())};
  }
  return program;
}

/// The kernel's number of the network namespace.
std::uint64_t network_of(const Anchor* anchor) {
  struct stat about {};
  const int looked = anchor != nullptr ? ::fstat(anchor->namespaces().network.get(), &about)
                                       : ::stat("/proc/thread-self/ns/net", &about);
  sys::check(looked, "look at the network namespace");
  return about.st_ino;
}

void end(const sys::ProcessId& process) {
  const auto ended = sys::open_pidfd(process);
  if (!ended) return;
  for (const int signal : {SIGTERM, SIGKILL}) {
    if (!sys::send_signal(process, signal)) return;
    if (sys::wait_fd(ended->get(), POLLIN, Deadline::after(end_patience)) == sys::WaitResult::Ready) return;
  }
}

/// Waits for the lock of the one gateway there can be.
sys::FileLock lock_gateway(const Host::Impl& host, gateway::Place place) {
  try {
    return sys::FileLock::acquire(gateway::files_of(host.layout, place).lock, sys::FileLock::Mode::Exclusive,
                                  Deadline::after(end_patience), "the gateway");
  } catch (Error& problem) {
    if (problem.code() != ErrorCode::Timeout) throw;
    const auto found = find_gateway(host, place);
    throw Error{ErrorCode::AlreadyExists,
                found ? fmt::format("a gateway runs already{}{} (process {})", found->address.empty() ? "" : " at ",
                                    found->address, found->process.pid)
                      : "a gateway runs already, and gateway.json does not say which process it is"};
  }
}

/// `mended_by`: what else there is to do if a program of the host has the port.
sys::Fd bind_for_machines(int type, net::Ipv4Address at, std::uint16_t port, std::string_view mended_by) {
  sys::Fd socket{sys::check(::socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "socket")};
  const int yes = 1;
  // By UDP it would let others in.
  if (type == SOCK_STREAM) {
    sys::check(::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes), "SO_REUSEADDR");
  }
  // The bridge may come later.
  sys::check(::setsockopt(socket.get(), IPPROTO_IP, IP_FREEBIND, &yes, sizeof yes), "IP_FREEBIND");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(at.bits());
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      (type == SOCK_STREAM && ::listen(socket.get(), backlog) != 0)) {
    if (errno == EADDRINUSE) {
      throw Error{ErrorCode::AlreadyExists,
                  fmt::format("port {} of {} is taken: a program on this host listens there, perhaps on all addresses; "
                              "let it listen on 127.0.0.1 only{}",
                              port, at.to_string(), mended_by)};
    }
    sys::throw_errno(fmt::format("listen on {}:{}", at.to_string(), port));
  }
  return socket;
}

std::string address_text(net::Ipv4Address address, std::optional<std::uint16_t> port) {
  return port ? fmt::format("{}:{}", address.to_string(), *port) : std::string{};
}

GatewayRecord make_record(const sys::ProcessId& process, net::Ipv4Address address, const GatewayPorts& ports,
                          const Anchor* anchor) {
  return {process,           address_text(address, ports.llm), irc_address(address, ports), ports.names, ports.http,
          network_of(anchor)};
}

/// Opens the ports of `services` to machines at the gateway instead of at the program that listened there.
void take_over(net::NetworkPolicy& policy, std::uint16_t port, std::span<const std::uint16_t> servers,
               bool services_are_named) {
  std::erase_if(policy.services, [&](const net::Service& service) {
    // A default service, or one that the user led to the host's loopback before there was a gateway.
    const bool server =
        std::ranges::find(servers, service.port) != servers.end() && (!services_are_named || service.on_loopback);
    return service.protocol == net::Protocol::Tcp && (service.port == port || server);
  });
  policy.services.push_back({net::Protocol::Tcp, port, false});
}

void start(const Host::Impl& host, const net::NetworkPolicy& policy, const GatewayPorts& ports, const Anchor* anchor) {
  const auto program = find_program(host);
  const auto parts = GatewayParts::make(host, place_of(anchor));
  const auto sockets = bind_ports(host, policy.gateway, ports, anchor);
  for (const auto& problem : sockets.problems) host.logger.warning(problem);
  const auto log = open_log(gateway::files_of(host.layout, place_of(anchor)).log);
  const auto nothing = sys::open_file("/dev/null", O_RDONLY);
  const auto or_nothing = [&](const std::optional<sys::Fd>& part) { return (part ? *part : nothing).get(); };
  sys::SpawnSpec spec;
  spec.argv = {program.native(), host.layout.home().native()};
  // Proxies that LLM servers are reached through.
  spec.env = host.options.tool_environment;
  spec.cwd = "/";
  spec.fds = {{log.get(), STDOUT_FILENO},
              {log.get(), STDERR_FILENO},
              {parts.lock.get(), GatewayParts::lock_number},
              {parts.status.get(), GatewayParts::status_number},
              {or_nothing(sockets.llm), GatewayParts::llm_number},
              {or_nothing(sockets.irc), GatewayParts::irc_number},
              {or_nothing(sockets.names_udp), GatewayParts::names_udp_number},
              {or_nothing(sockets.names_tcp), GatewayParts::names_tcp_number},
              {or_nothing(sockets.http), GatewayParts::http_number}};
  spec.die_with_parent = false;
  spec.new_session = true;
  auto child = sys::Child::spawn(spec);
  outlive_service(child.id());
  put_gateway(host, child.id(), policy.gateway, ports, anchor);
  child.detach();
}

}  // namespace

gateway::Place gateway_place() { return may_configure_network() ? gateway::Place::Host : gateway::Place::Anchor; }

std::optional<GatewayRecord> find_gateway(const Host::Impl& host, gateway::Place place) {
  const auto file = gateway::files_of(host.layout, place).record;
  // It is not synced: a power failure can leave it empty.
  std::error_code missing;
  const auto bytes = std::filesystem::file_size(file, missing);
  if (missing || bytes == 0) return std::nullopt;
  auto record = json::read_record<GatewayRecord>(json::Value::parse_file(file));
  if (!sys::is_alive(record.process)) return std::nullopt;
  return record;
}

void put_gateway(const Host::Impl& host, const sys::ProcessId& process, net::Ipv4Address address,
                 const GatewayPorts& ports, const Anchor* anchor) {
  sys::replace_file(gateway::files_of(host.layout, place_of(anchor)).record,
                    json::record_text(make_record(process, address, ports, anchor)));
}

bool GatewayPorts::have(const net::Service& service) const {
  if (service.port == dns_port) return names;
  return service.protocol == net::Protocol::Tcp && (service.port == llm || service.port == irc);
}

std::string irc_address(net::Ipv4Address gateway, const GatewayPorts& ports) {
  return address_text(gateway, ports.irc);
}

GatewayPorts gateway_ports(const state::Config& config) {
  GatewayPorts ports;
  const auto services = state::make_network_policy(config.network).services;
  ports.names = std::ranges::any_of(services, [](const net::Service& service) { return service.port == dns_port; });
  const auto settings = config.gateway ? state::read_gateway_settings(*config.gateway) : state::GatewaySettings{};
  if (settings.llm) ports.llm = settings.llm->port;
  if (settings.irc) ports.irc = settings.irc->port;
  // Where there is a gateway at all.
  ports.http = ports.any();
  return ports;
}

void open_gateway(net::NetworkPolicy& policy, const state::Config& config) {
  const auto ports = gateway_ports(config);
  if (ports.names) policy.names_port = state::names_port;
  if (ports.http) policy.http_port = state::http_port;
  for (auto& service : policy.services) {
    if (service.port == dns_port) service.on_loopback = false;
  }
  if (ports.llm) take_over(policy, *ports.llm, llm_ports, config.network.services.has_value());
  if (ports.irc) take_over(policy, *ports.irc, irc_ports, config.network.services.has_value());
}

std::optional<net::Ipv4Address> name_server_of(const state::Config& config) {
  if (config.network.resolver) return config.network.resolver;
  const bool on_loopback =
      config.network.services && std::ranges::any_of(*config.network.services, [](const net::Service& service) {
        return service.port == dns_port && service.on_loopback;
      });
  return on_loopback ? std::optional{net::loopback_address} : std::nullopt;
}

GatewayParts GatewayParts::inherited() {
  const auto take = [](int number) {
    struct stat about {};
    sys::Fd part{number};
    sys::check(::fstat(number, &about), "look at what was inherited");
    return S_ISSOCK(about.st_mode) ? std::optional{std::move(part)} : std::nullopt;
  };
  return {sys::Fd{lock_number},
          sys::Fd{status_number},
          {take(llm_number), take(irc_number), take(names_udp_number), take(names_tcp_number), take(http_number), {}}};
}

GatewayParts GatewayParts::make(const Host::Impl& host, gateway::Place place) {
  auto lock = lock_gateway(host, place).into_fd();
  const auto socket = gateway::files_of(host.layout, place).status_socket;
  // The lock's holder is the only gateway: a socket that is there is a dead one's.
  std::filesystem::remove(socket);
  return {std::move(lock), sys::unix_listen(socket), {}};
}

GatewaySockets bind_ports(const Host::Impl& host, net::Ipv4Address address, const GatewayPorts& ports,
                          const Anchor* anchor) {
  GatewaySockets made;
  const auto bind = [&](int type, std::optional<std::uint16_t> port, std::string_view what,
                        std::string_view mended_by) -> std::optional<sys::Fd> {
    if (!port) return std::nullopt;
    try {
      const auto make = [&](const Logger&) {
        return std::optional{bind_for_machines(type, address, *port, mended_by)};
      };
      return anchor != nullptr ? anchor->run(make) : make(host.logger);
    } catch (const Error& problem) {
      made.problems.push_back(fmt::format("machines get no {} from the gateway: {}", what, problem.what()));
      return std::nullopt;
    }
  };
  made.llm = bind(SOCK_STREAM, ports.llm, "LLM", ", or set gateway.llm.port in config.json");
  made.irc = bind(SOCK_STREAM, ports.irc, "IRC", ", or set gateway.irc.port in config.json");
  const auto names = ports.names ? std::optional{state::names_port} : std::nullopt;
  made.names_udp = bind(SOCK_DGRAM, names, "names", {});
  if (made.names_udp) made.names_tcp = bind(SOCK_STREAM, names, "names", {});
  if (!made.names_tcp) made.names_udp.reset();
  made.http = bind(SOCK_STREAM, ports.http ? std::optional{state::http_port} : std::nullopt, "way to web servers", {});
  return made;
}

void ensure_gateway(const Host::Impl& host, const net::NetworkPolicy& policy, const Anchor* anchor) noexcept {
  try {
    const auto ports = gateway_ports(host.config());
    const auto place = place_of(anchor);
    if (const auto found = find_gateway(host, place)) {
      if (ports.any() && *found == make_record(found->process, policy.gateway, ports, anchor)) {
        // The time of its last use.
        std::filesystem::last_write_time(gateway::files_of(host.layout, place).record,
                                         std::filesystem::file_time_type::clock::now());
        return;
      }
      end(found->process);
    }
    if (ports.any()) start(host, policy, ports, anchor);
  } catch (const std::exception& problem) {
    host.logger.warning(
        fmt::format("there is no gateway, so machines have nothing that it serves: {}", problem.what()));
  }
}

bool has_machines(const Host::Impl& host) {
  if (!std::filesystem::exists(host.layout.address_pool())) return false;
  const auto leases = NatNetwork{host}.pool().list();
  return std::ranges::any_of(leases, [](const net::Lease& lease) { return sys::is_alive(lease.holder); });
}

bool retire_gateway(const Host::Impl& host, gateway::Place place, std::chrono::seconds patience) {
  const auto record = gateway::files_of(host.layout, place).record;
  const auto is_needed = [&] {
    const auto last_use = std::filesystem::last_write_time(record);
    return std::filesystem::file_time_type::clock::now() - last_use < patience || has_machines(host);
  };
  if (is_needed()) return false;
  // A process that takes its turn after this finds no gateway.
  const auto turn = sys::FileLock::try_acquire(host.layout.lock("network"), sys::FileLock::Mode::Exclusive);
  if (!turn || is_needed()) return false;
  std::filesystem::remove(record);
  return true;
}

bool end_gateway(const Host::Impl& host, gateway::Place place) {
  const auto found = find_gateway(host, place);
  // An anchor's is in a namespace that only its machines are in.
  if (!found || (place == gateway::Place::Host && found->network != network_of(nullptr))) return false;
  end(found->process);
  return true;
}

void keep_log_short(const std::filesystem::path& file) {
  struct stat ours {};
  if (::fstat(STDERR_FILENO, &ours) != 0) return;
  const auto is_ours = [&](const std::filesystem::path& other) {
    struct stat about {};
    return ::stat(other.c_str(), &about) == 0 && about.st_dev == ours.st_dev && about.st_ino == ours.st_ino;
  };
  const bool full = is_long(STDERR_FILENO) && is_ours(file);
  // Another one that writes to it can have set it aside.
  if (!full && !is_ours(set_aside(file))) return;
  const auto log = open_log(file);
  for (const int number : {STDOUT_FILENO, STDERR_FILENO}) sys::check(::dup2(log.get(), number), "dup2");
}

}  // namespace fireclaw::core
