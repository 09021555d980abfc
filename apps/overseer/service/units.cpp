#include "service/units.hpp"

#include <grp.h>
#include <pwd.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <system_error>

#include <fmt/format.h>

#include "common/files/replaced_file.hpp"
#include "fireclaw/error.hpp"

namespace fireclaw::overseer {
namespace {

/// A word as systemd reads it in ExecStart and in paths.
std::string quoted(const std::string& word, bool is_argument) {
  if (word.find_first_of(std::string_view{"\n\r\0", 3}) != std::string::npos) {
    throw Error{ErrorCode::InvalidArgument, fmt::format("'{}' cannot stand in a unit file", word)};
  }
  std::string out = "\"";
  for (const char c : word) {
    if (c == '"' || c == '\\') out += '\\';
    if (c == '%' || (c == '$' && is_argument)) out += c;
    out += c;
  }
  return out + "\"";
}

/// A line of a unit file; empty: there is none.
std::string_view value_of(std::string_view file, std::string_view name) {
  while (!file.empty()) {
    auto line = file.substr(0, file.find('\n'));
    file.remove_prefix(std::min(file.size(), line.size() + 1));
    if (line.starts_with(name)) return line.substr(name.size());
  }
  return {};
}

/// The library looks for machines' service in this slice (libfireclaw/sys/cgroup.hpp).
constexpr std::string_view services_slice = "fireclaw.slice";

constexpr std::string_view confinement = R"(NoNewPrivileges=yes
LockPersonality=yes
MemoryDenyWriteExecute={}
PrivateTmp=yes
ProtectClock=yes
ProtectControlGroups={}
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectSystem=strict
RestrictRealtime=yes
RestrictSUIDSGID=yes
SystemCallArchitectures=native
UMask=0077
ReadWritePaths={}{}
)";

/// For machines: devices for KVM, vsock and taps, a bridge and firewall rules to make, IP forwarding to set; users to
/// give to engines, and the locks by which no two have the same.
constexpr std::string_view for_machines = R"(DevicePolicy=closed
DeviceAllow=/dev/kvm rw
DeviceAllow=/dev/net/tun rw
DeviceAllow=/dev/vhost-vsock rw
DeviceAllow=/dev/vhost-net rw
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK AF_VSOCK AF_PACKET
RuntimeDirectory=fireclaw
RuntimeDirectoryMode=0700
RuntimeDirectoryPreserve=yes
)";

/// After a reboot it is the server that makes the bridge, with its firewall and its settings below /proc/sys. ngircd is
/// nobody's, so that ending it takes a capability.
constexpr std::string_view for_servers = R"(PrivateDevices=yes
ProtectKernelModules=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
)";

constexpr std::string_view rights_for_machines =
    "CAP_NET_ADMIN CAP_NET_BIND_SERVICE CAP_DAC_OVERRIDE CAP_SETUID CAP_SETGID";
constexpr std::string_view rights_for_servers = "CAP_NET_ADMIN CAP_SETUID CAP_SETGID CAP_DAC_OVERRIDE CAP_KILL";

/// Root gives each engine a user, and a server nobody's. Another user cannot, since CAP_SETUID would make it root: it
/// has what the network takes and no more.
std::string rights(const Unit& unit) {
  if (unit.user.empty()) {
    return fmt::format("CapabilityBoundingSet={}\n", unit.runs_machines ? rights_for_machines : rights_for_servers);
  }
  auto text = fmt::format("User={}\n", unit.user);
  if (!unit.groups.empty()) text += fmt::format("SupplementaryGroups={}\n", fmt::join(unit.groups, " "));
  return text + "AmbientCapabilities=CAP_NET_ADMIN\nCapabilityBoundingSet=CAP_NET_ADMIN\n";
}

/// What starts services that are enabled.
constexpr const char* target(bool user_manager) { return user_manager ? "default.target" : "multi-user.target"; }

/// Whether nothing that the service is known to use is in a user's home directory, so that it need see none.
bool needs_no_homes(const Unit& unit) {
  std::vector<std::filesystem::path> used{unit.home};
  used.insert(used.end(), unit.command.begin(), unit.command.end());
  used.insert(used.end(), unit.writes_to.begin(), unit.writes_to.end());
  return std::ranges::none_of(used, [](const std::filesystem::path& path) {
    std::error_code ignored;
    const auto real = path.is_absolute() ? std::filesystem::weakly_canonical(path, ignored) : path;
    const auto text = real.native() + "/";
    return text.starts_with("/home/") || text.starts_with("/root/") || text.starts_with("/run/user/");
  });
}

std::filesystem::path unit_folder(const InstallOptions& options) {
  if (!options.folder.empty()) return options.folder;
  if (!options.user) return "/etc/systemd/system";
  if (const char* config = std::getenv("XDG_CONFIG_HOME"); config != nullptr && *config == '/') {
    return std::filesystem::path{config} / "systemd/user";
  }
  const char* home = std::getenv("HOME");
  if (home == nullptr || *home != '/') {
    throw Error{ErrorCode::InvalidArgument, "there is no home directory; name a folder with --unit-folder"};
  }
  return std::filesystem::path{home} / ".config/systemd/user";
}

void systemctl(const std::vector<std::string>& words, bool user) {
  std::vector<std::string> argv{"systemctl"};
  if (user) argv.emplace_back("--user");
  argv.insert(argv.end(), words.begin(), words.end());
  std::vector<char*> pointers;
  pointers.reserve(argv.size() + 1);
  for (auto& word : argv) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  pid_t pid = 0;
  int status = ::posix_spawnp(&pid, "systemctl", nullptr, nullptr, pointers.data(), ::environ);
  if (status != 0) {
    throw Error{ErrorCode::NotFound,
                fmt::format("systemctl cannot be started: {}; the unit file is written, --no-enable leaves "
                            "it at that",
                            std::strerror(status))};
  }
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    throw Error{ErrorCode::Io, fmt::format("systemctl {} failed; the unit file is written", fmt::join(words, " "))};
  }
}

std::filesystem::path write(const Unit& unit, const InstallOptions& options) {
  require_manager(options, ::geteuid() == 0);
  auto path = unit_file(unit.name, options);
  std::error_code error;
  std::filesystem::create_directories(path.parent_path(), error);
  cli::replace_file(path, to_unit_file(unit, options.user), 0644);
  return path;
}

}  // namespace

std::vector<std::string> unit_command(std::string_view file) {
  auto rest = value_of(file, "ExecStop=");
  if (rest.empty()) rest = value_of(file, "ExecStart=");
  std::vector<std::string> words;
  while (rest.starts_with('"')) {
    rest.remove_prefix(1);
    std::string word;
    while (!rest.empty() && rest.front() != '"') {
      // quoted() writes each of these before the character that is meant.
      if (rest.size() > 1 && std::string_view{"\\%$"}.find(rest.front()) != std::string_view::npos)
        rest.remove_prefix(1);
      word += rest.front();
      rest.remove_prefix(1);
    }
    if (rest.empty()) return {};
    words.push_back(std::move(word));
    rest.remove_prefix(std::min<std::size_t>(rest.size(), 2));
  }
  return rest.empty() ? words : std::vector<std::string>{};
}

std::string to_unit_file(const Unit& unit, bool user_manager) {
  std::string command;
  for (const auto& word : unit.command) command += (command.empty() ? "" : " ") + quoted(word, true);
  auto text = fmt::format("[Unit]\nDescription={}\nAfter=network.target{}{}\n", unit.description,
                          unit.after.empty() ? "" : " ", unit.after);
  if (!unit.after.empty()) text += fmt::format("Wants={}\n", unit.after);
  if (unit.holds_machines) {
    text += "\n[Service]\n";
    // Another user than root moves machines from the overseer's service to this one by its right in the slice of both.
    if (!unit.user.empty()) {
      text += fmt::format("ExecStartPre=-+/bin/chown {} /sys/fs/cgroup/{}/cgroup.procs\n", unit.user, services_slice);
    }
    text += fmt::format("ExecStart=/bin/sleep infinity\nRemainAfterExit=yes\nExecStop={}\n", command);
  } else {
    text +=
        fmt::format("StartLimitIntervalSec=300\nStartLimitBurst=10\n\n[Service]\nType=notify\nExecStart={}\n", command);
    text += "Restart=on-failure\nRestartSec=2\nWatchdogSec=30\n";
  }
  text += fmt::format("Slice={}\n", services_slice);
  if (unit.runs_machines) {
    // Each machine has a cgroup; one that runs out of memory ends alone.
    text += fmt::format("TimeoutStopSec={}\nTasksMax=infinity\nDelegate=yes\nOOMPolicy=continue\n",
                        machines_stop_limit.count());
    // Machines that are in its control group, for want of the other service, must outlive it.
    if (!unit.holds_machines) text += "KillMode=process\n";
  } else {
    text += "TimeoutStopSec=20\n";
  }
  text += "\n";
  if (!user_manager) {
    // Emulation writes code and runs it.
    std::string more;
    // One that is not there must not keep the service from saying so itself.
    for (const auto& folder : unit.writes_to) more += " " + quoted("-" + folder.native(), false);
    const auto* unless_machines = unit.runs_machines ? "no" : "yes";
    text += fmt::format(confinement, unless_machines, unless_machines, quoted(unit.home.native(), false), more);
    if (needs_no_homes(unit)) text += "ProtectHome=yes\n";
    text += unit.runs_machines ? for_machines : for_servers;
    text += rights(unit);
  } else {
    text += "NoNewPrivileges=yes\nUMask=0077\n";
  }
  text += fmt::format("\n[Install]\nWantedBy={}\n", target(user_manager));
  return text;
}

void run_as_owner(Unit& unit) {
  struct stat info {};
  if (::stat(unit.home.c_str(), &info) != 0) {
    throw Error{ErrorCode::NotFound, fmt::format("'{}': {}", unit.home.native(), std::strerror(errno))};
  }
  if (info.st_uid == 0) return;
  const auto* owner = ::getpwuid(info.st_uid);
  if (owner == nullptr) {
    throw Error{ErrorCode::NotFound,
                fmt::format("'{}' belongs to user {}, who has no name here", unit.home.native(), info.st_uid)};
  }
  unit.user = owner->pw_name;
  if (unit.runs_machines && ::getgrnam("kvm") != nullptr) unit.groups = {"kvm"};
}

void require_manager(const InstallOptions& options, bool as_root) {
  if (as_root || options.user || (!options.folder.empty() && !options.enable)) return;
  throw Error{ErrorCode::PermissionDenied,
              "only root may install a service for the whole system; use sudo, or --user for your own service manager"};
}

std::filesystem::path install(const Unit& unit, const InstallOptions& options) {
  auto path = write(unit, options);
  if (!options.enable) return path;
  const auto service = unit.name + ".service";
  systemctl({"daemon-reload"}, options.user);
  systemctl({"enable", service}, options.user);
  // Starting one that runs would leave it as it was. Machines are not to end now.
  systemctl({unit.holds_machines ? "start" : "restart", service}, options.user);
  return path;
}

void rewrite(const Unit& unit, const InstallOptions& options) {
  write(unit, options);
  if (options.enable) systemctl({"daemon-reload"}, options.user);
}

std::filesystem::path unit_file(const std::string& name, const InstallOptions& options) {
  return unit_folder(options) / (name + ".service");
}

bool uninstall(const std::string& name, const InstallOptions& options) {
  require_manager(options, ::geteuid() == 0);
  const auto path = unit_file(name, options);
  if (!std::filesystem::exists(path)) return false;
  if (options.enable) {
    systemctl({"disable", "--now", name + ".service"}, options.user);
  } else {
    // What enabling it has left, if it was.
    std::filesystem::remove(path.parent_path() / (std::string{target(options.user)} + ".wants") / path.filename());
  }
  std::filesystem::remove(path);
  if (options.enable) systemctl({"daemon-reload"}, options.user);
  return true;
}

}  // namespace fireclaw::overseer
