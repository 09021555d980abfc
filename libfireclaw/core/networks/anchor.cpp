#include "core/networks/anchor.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <csignal>
#include <utility>

#include <fmt/format.h>

#include "core/host/cgroups.hpp"
#include "core/networks/gateway.hpp"
#include "core/networks/nat.hpp"
#include "fireclaw/error.hpp"
#include "json/record.hpp"
#include "net/firewall/firewall.hpp"
#include "net/links/netlink.hpp"
#include "state/settings/config.hpp"
#include "sys/poll.hpp"
#include "sys/socket.hpp"

namespace fireclaw::core {

/// network-anchor.json
struct AnchorRecord {
  /// The folder that it was made for: the record can have been copied with it.
  std::string home;
  sys::ProcessId holder;
  /// The inode of the network namespace that its way out leads to.
  std::uint64_t network_namespace = 0;
  std::string services;
};

void describe(auto& field, json::Is<AnchorRecord> auto& record) {
  field.schema(1);
  field("home", record.home);
  field("holder", record.holder);
  field("network_namespace", record.network_namespace);
  field("services", record.services);
}

namespace {

/// Machines that are started one after another find it there.
constexpr std::chrono::seconds idle_limit{60};
constexpr std::chrono::seconds start_limit{10};
constexpr std::chrono::seconds lock_limit{30};
constexpr std::chrono::seconds end_limit{5};
constexpr std::chrono::seconds version_limit{5};
constexpr std::size_t most_answer_bytes = 4096;
// The first byte of a line that comes out of the namespaces.
constexpr char warning_line = 'w';
constexpr char answer_line = 'a';

std::uint64_t current_network_namespace() {
  struct stat status {};
  sys::check(::stat("/proc/thread-self/ns/net", &status), "look at /proc/thread-self/ns/net");
  return status.st_ino;
}

/// As fireclaw-netd takes them: without what the gateway's program serves itself.
std::string services_text(const net::NetworkPolicy& policy, const GatewayPorts& gateway) {
  std::string text;
  for (const auto& service : policy.services) {
    if (gateway.have(service)) continue;
    text += fmt::format("{}{}/{}", text.empty() ? "" : ",", net::to_string(service.protocol), service.port);
  }
  return text.empty() ? "none" : text;
}

std::optional<AnchorRecord> read_record(const Host::Impl& host) {
  const auto path = host.layout.network_anchor();
  if (!std::filesystem::exists(path)) return std::nullopt;
  AnchorRecord record;
  json::read_record(json::Value::parse_file(path), record);
  if (record.home != host.layout.home().native()) return std::nullopt;
  return record;
}

void write_record(const Host::Impl& host, const AnchorRecord& record) {
  json::Writer out{json::Writer::Style::Pretty};
  json::write_record(out, record);
  sys::write_file_atomic(host.layout.network_anchor(), out.take());
}

std::string read_answer(int fd) {
  const auto deadline = Deadline::after(std::chrono::nanoseconds{start_limit});
  std::string text;
  std::array<std::byte, most_answer_bytes> bytes{};
  while (text.size() < most_answer_bytes) {
    sys::require_fd(fd, POLLIN, deadline, "waiting for the network to be made");
    const auto got = sys::read_some(fd, bytes);
    if (got <= 0) break;
    text.append(reinterpret_cast<const char*>(bytes.data()), static_cast<std::size_t>(got));
  }
  return text;
}

std::vector<std::string> choose_uplink(const Host::Impl& host) {
  const auto& search_path = host.options.search_path;
  const auto pasta = sys::find_program("pasta", search_path);
  const auto slirp = sys::find_program("slirp4netns", search_path);
  if (pasta && slirp) {
    sys::ToolOptions options;
    options.deadline = Deadline::after(std::chrono::nanoseconds{version_limit});
    if (!passes_on_every_end(sys::run_tool({pasta->native(), "--version"}, options).out)) return slirp_command(*slirp);
  }
  return pasta ? pasta_command(*pasta, ::geteuid() == 0) : slirp_command(slirp.value());
}

/// What is missing beside user namespaces, which take milliseconds to try.
std::vector<NetworkObstacle> find_missing(const Host::Impl& host) {
  std::vector<NetworkObstacle> found;
  if (!has_uplink(host.options.search_path)) {
    found.push_back({"no CAP_NET_ADMIN, and neither pasta nor slirp4netns is installed",
                     "apt-get install passt, run as root, or use --net user"});
  }
  if (::access("/dev/net/tun", R_OK | W_OK) != 0) {
    found.push_back(
        {"/dev/net/tun cannot be opened",
         "load the tun module (modprobe tun) and let users open the device (chmod 666 /dev/net/tun), or run "
         "as root"});
  }
  try {
    static_cast<void>(host.netd());
  } catch (const Error& problem) {
    found.push_back({problem.what(), "reinstall fireclaw"});
  }
  return found;
}

/// In the namespaces: a logger whose warnings are told outside.
Logger warn_by(const sys::Tell& tell) {
  return Logger{[&tell](LogLevel level, std::string_view message) {
    if (level >= LogLevel::Warning) tell(warning_line + std::string{message});
  }};
}

sys::Tell passed_to(const Logger& logger) {
  return [&logger](std::string_view line) { logger.warning(line.substr(1)); };
}

sys::ProcessId start(const Host::Impl& host, const NatNetwork& network, const std::string& services) {
  if (const auto obstacles = find_missing(host); !obstacles.empty()) {
    throw Error{ErrorCode::Unsupported, fmt::format("{}; {}", obstacles.front().problem, obstacles.front().remedy)};
  }
  auto ready = sys::make_pipe();
  sys::SpawnSpec spec;
  constexpr int ready_number = 3;
  spec.argv = {host.netd().native(),
               "hold",
               std::to_string(ready_number),
               host.layout.lock("network-anchor").native(),
               std::to_string(idle_limit.count()),
               net::tap_prefix(network.bridge().name),
               network.bridge().gateway.to_string(),
               services};
  const auto uplink = choose_uplink(host);
  spec.argv.insert(spec.argv.end(), uplink.begin(), uplink.end());
  spec.cwd = "/";
  spec.fds = {{ready.write.get(), ready_number}};
  spec.die_with_parent = false;
  spec.new_session = true;
  auto child = sys::Child::spawn(spec);
  // Before it starts others.
  outlive_service(child.id());
  ready.write = sys::open_file("/dev/null", O_WRONLY);
  const auto answer = read_answer(ready.read.get());
  constexpr std::string_view ok = "ok ";
  pid_t pid = 0;
  if (answer.starts_with(ok)) std::from_chars(answer.data() + ok.size(), answer.data() + answer.size(), pid);
  const auto holder = pid > 0 ? sys::identify(pid) : std::nullopt;
  if (!holder) {
    throw Error{ErrorCode::Unsupported,
                fmt::format("cannot make a network: {}", answer.empty() ? "fireclaw-netd has ended" : answer)};
  }
  if (const auto line = answer.find('\n'); line != std::string::npos) {
    host.logger.warning(fmt::format("machines do not reach beyond this host: {}", answer.substr(line + 1)));
  }
  child.detach();
  return *holder;
}

}  // namespace

bool may_configure_network() {
  try {
    return net::Netlink{}.may_configure();
  } catch (const Error&) {
    return false;
  }
}

Anchor::Anchor(const Host::Impl& host, const sys::ProcessId& holder)
    : host_{&host}, holder_{holder}, namespaces_{sys::NetworkNamespace::of(holder)} {}

std::optional<Anchor> Anchor::find(const Host::Impl& host) {
  const auto record = read_record(host);
  if (!record || !sys::is_alive(record->holder)) return std::nullopt;
  if (record->network_namespace != current_network_namespace()) {
    throw Error{ErrorCode::InvalidState,
                fmt::format("the machines' network was made in another network namespace, by way of process {}; end "
                            "them there, or use another home folder here",
                            record->holder.pid)};
  }
  return Anchor{host, record->holder};
}

Anchor Anchor::ensure(const Host::Impl& host) {
  const NatNetwork network{host};
  const auto services = services_text(network.policy(), gateway_ports(host.config()));
  const auto path = host.layout.lock("network-anchor");
  const auto lock = [&](sys::FileLock::Mode mode) {
    return sys::FileLock::acquire(path, mode, Deadline::after(std::chrono::nanoseconds{lock_limit}),
                                  "the network, which another fireclaw is making");
  };
  for (;;) {
    // In use, it does not end.
    auto use = lock(sys::FileLock::Mode::Shared);
    if (auto found = find(host)) {
      if (read_record(host)->services != services) {
        host.logger.warning(
            "the services in config.json have changed; the old ones stay in use until: fireclaw network down");
      }
      found->use_ = std::move(use);
      return std::move(*found);
    }
    static_cast<void>(std::move(use).into_fd());
    const auto making = lock(sys::FileLock::Mode::Exclusive);
    if (find(host)) continue;
    write_record(host,
                 {host.layout.home().native(), start(host, network, services), current_network_namespace(), services});
  }
}

std::optional<sys::Fd> Anchor::run(const std::function<std::optional<sys::Fd>(const Logger&)>& action) const {
  // Here, it is loaded once for all children.
  net::preload_firewall();
  return sys::run_inside(
      namespaces_, [&](const sys::Tell& tell) { return action(warn_by(tell)); }, passed_to(host_->logger));
}

sys::EndingChild Anchor::run_unwaited(const std::function<void(const Logger&)>& action) const {
  net::preload_firewall();
  return sys::run_inside_unwaited(
      namespaces_, [&](const sys::Tell& tell) { action(warn_by(tell)); }, passed_to(host_->logger));
}

std::string Anchor::ask(const std::function<std::string(const Logger&)>& question) const {
  std::string answer;
  sys::run_inside(
      namespaces_,
      [&](const sys::Tell& tell) -> std::optional<sys::Fd> {
        tell(answer_line + question(warn_by(tell)));
        return std::nullopt;
      },
      [&](std::string_view line) {
        if (line.front() == answer_line) {
          answer = line.substr(1);
        } else {
          passed_to(host_->logger)(line);
        }
      });
  return answer;
}

void Anchor::end() const {
  const auto pidfd = sys::open_pidfd(holder_);
  if (!pidfd || !sys::send_signal(holder_, SIGKILL)) return;
  sys::require_fd(pidfd->get(), POLLIN, Deadline::after(std::chrono::nanoseconds{end_limit}), "ending the network");
}

bool has_lost_network(const state::RunRecord& run) {
  return run.nat && run.nat->anchor && !sys::is_alive(*run.nat->anchor);
}

sys::Fd connect_to_machine(const Host::Impl& host, const std::string& address, std::uint16_t port, Deadline deadline,
                           const std::stop_token& stop) {
  const auto connect = [&] { return sys::tcp_connect(address, port, deadline, stop); };
  if (may_configure_network()) return connect();
  const auto anchor = Anchor::find(host);
  if (!anchor) throw Error{ErrorCode::InvalidState, "the process that kept the machines' network has ended"};
  return *anchor->run([&](const Logger&) -> std::optional<sys::Fd> { return connect(); });
}

net::NetworkPolicy in_anchor(net::NetworkPolicy policy) {
  for (auto& service : policy.services) service.on_loopback = false;
  return policy;
}

std::vector<NetworkObstacle> find_anchor_obstacles(const Host::Impl& host) {
  auto found = find_missing(host);
  if (const auto problem = sys::find_namespace_obstacle()) {
    found.insert(found.begin(),
                 {fmt::format("no CAP_NET_ADMIN, and no user namespaces ({})", *problem),
                  "allow users to have them (kernel.unprivileged_userns_clone=1, user.max_user_namespaces, "
                  "kernel.apparmor_restrict_unprivileged_userns=0), run as root, or use --net user"});
  }
  return found;
}

bool has_uplink(const std::vector<std::filesystem::path>& search_path) {
  return sys::find_program("pasta", search_path) || sys::find_program("slirp4netns", search_path);
}

std::vector<std::string> pasta_command(const std::filesystem::path& program, bool as_root) {
  std::vector<std::string> command{program.native(), "--foreground", "--config-net", "--no-map-gw", "--ipv4-only",
                                   "--ns-ifname",    "out0",         "--tcp-ports",  "none",        "--udp-ports",
                                   "none",           "--tcp-ns",     "none",         "--udp-ns",    "none",
                                   "--no-dhcp",      "--no-dhcpv6",  "--no-ndp",     "--no-ra"};
  // As root it would become nobody, who may not enter the namespaces.
  if (as_root) command.insert(command.end(), {"--runas", "0:0"});
  command.insert(command.end(), {"--userns", "/proc/{pid}/ns/user", "--netns", "/proc/{pid}/ns/net"});
  return command;
}

std::vector<std::string> slirp_command(const std::filesystem::path& program) {
  return {program.native(),          "--configure",        "--mtu=65520",
          "--disable-host-loopback", "--enable-seccomp",   "--userns-path=/proc/{pid}/ns/user",
          "--netns-type=path",       "/proc/{pid}/ns/net", "out0"};
}

bool passes_on_every_end(std::string_view pasta_version) {
  return pasta_version.find("unknown version") == std::string_view::npos;
}

}  // namespace fireclaw::core
