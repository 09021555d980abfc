#include "services.hpp"

#include <arpa/inet.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <utility>

#include <fmt/format.h>

#include "common/files/fd.hpp"
#include "common/processes/child.hpp"
#include "crew/shutdown.hpp"
#include "fireclaw/error.hpp"
#include "service/irc_server.hpp"
#include "service/units.hpp"

namespace fireclaw::overseer {
namespace {

constexpr const char* overseer_unit = "fireclaw-overseer";
constexpr const char* agents_unit = "fireclaw-agents";
constexpr const char* irc_unit = "fireclaw-irc";
/// After this no other agent's end is begun; what was begun takes 15 s at most. The unit has more.
constexpr std::chrono::seconds shutdown_limit{150};
static_assert(shutdown_limit + std::chrono::seconds{20} < machines_stop_limit);

std::filesystem::path own_program() { return std::filesystem::read_symlink("/proc/self/exe"); }

/// A service has no environment to find its home folder by.
void add_host(Unit& unit, const Arguments& arguments) {
  auto host = arguments.host;
  host.home = cli::home_of(host).native();
  const auto words = cli::to_argv(host);
  unit.command.insert(unit.command.end(), words.begin(), words.end());
  unit.home = host.home;
}

InstallOptions install_options(const Arguments& arguments) {
  auto options = arguments.install;
  options.folder =
      arguments.unit_folder.empty() ? std::filesystem::path{} : std::filesystem::absolute(arguments.unit_folder);
  options.enable = !arguments.no_enable;
  return options;
}

int install_unit(Unit unit, const Arguments& arguments) {
  const auto options = install_options(arguments);
  if (!options.user) run_as_owner(unit);
  const auto path = install(unit, options);
  if (arguments.json) {
    const nlohmann::ordered_json out{{"unit", path.native()}, {"started", options.enable}};
    print_json(out);
    return 0;
  }
  std::puts(fmt::format("wrote {}", path.native()).c_str());
  if (options.enable) {
    std::puts(fmt::format("started {}; see: systemctl {}status {}", unit.name, options.user ? "--user " : "", unit.name)
                  .c_str());
    if (options.user) std::puts("it ends when you log out, unless you linger: loginctl enable-linger");
  }
  return 0;
}

/// A service may write to its home folder and nowhere else, so that has to be there before it starts.
void require_home(const Arguments& arguments) {
  const auto home = cli::home_of(arguments.host);
  if (std::filesystem::is_directory(home)) return;
  throw Error{ErrorCode::NotFound, fmt::format("there is no folder '{}' yet; run: fireclaw setup", home.native())};
}

/// The folders that the settings have it write to. A service is started in another folder than this program.
std::vector<std::filesystem::path> folders_of(const Settings& settings) {
  for (const auto& path : {settings.audit_log, settings.server.tls_ca}) {
    if (path.is_relative() && !path.empty()) {
      throw Error{
          ErrorCode::InvalidArgument,
          fmt::format("a service does not use '{}'; write the whole path into the file of --config", path.native())};
    }
  }
  std::vector<std::filesystem::path> folders;
  if (!settings.audit_log.empty()) folders.push_back(settings.audit_log.parent_path());
  if (settings.metrics.starts_with('/')) folders.push_back(std::filesystem::path{settings.metrics}.parent_path());
  return folders;
}

/// The overseer's service, and the one that machines are in.
std::vector<Unit> overseer_units(const Arguments& arguments) {
  // What would not do when it runs should not be installed.
  const auto settings = settings_from(arguments);
  // Stopped after the overseer, which must not start again what is being ended, and before network and IRC server.
  Unit holder;
  holder.name = agents_unit;
  holder.description = "fireclaw's machines, ended in order when the system stops";
  holder.command = {own_program().native()};
  add_host(holder, arguments);
  holder.command.emplace_back("shutdown");
  holder.runs_machines = true;
  holder.holds_machines = true;
  holder.after = fmt::format("{}.service", irc_unit);
  Unit unit;
  unit.name = overseer_unit;
  unit.description = "fireclaw's overseer";
  unit.command = {own_program().native()};
  add_host(unit, arguments);
  if (const auto file = config_file(arguments); !file.empty()) {
    unit.command.insert(unit.command.end(), {"--config", file.native()});
  }
  unit.runs_machines = true;
  unit.writes_to = folders_of(settings);
  unit.after = fmt::format("{}.service {}.service", irc_unit, agents_unit);
  return {holder, unit};
}

}  // namespace

int install_overseer(const Arguments& arguments) {
  require_home(arguments);
  auto units = overseer_units(arguments);
  if (!arguments.install.user) run_as_owner(units.front());
  install(units.front(), install_options(arguments));
  return install_unit(std::move(units.back()), arguments);
}

int end_machines(const Arguments& arguments, const Backend& backend) {
  const Log log{LogLevel::Info, writes_to_journal()};
  const auto agents =
      backend.agents(arguments.host, [log](LogLevel level, std::string_view line) { log(level, line); });
  const auto report = shut_down(*agents, own_folder(arguments), shutdown_limit);
  if (arguments.json) {
    const nlohmann::ordered_json out{{"ended", report.ended}, {"failed", report.failed}};
    print_json(out);
  } else {
    for (const auto& what : report.ended) std::puts(fmt::format("ended {}", what).c_str());
  }
  for (const auto& problem : report.failed) log(LogLevel::Error, problem);
  return report.failed.empty() ? 0 : exit_failure;
}

namespace {

std::string text_of(const std::filesystem::path& path) {
  std::ifstream file{path, std::ios::binary};
  return {std::istreambuf_iterator<char>{file}, {}};
}

/// The home folder that a unit is for, as its file says; that of the command where there is no such file.
cli::HostArguments host_of(const std::string& name, const Arguments& arguments, const InstallOptions& options,
                           const Parse& parse) {
  const auto file = unit_file(name, options);
  const auto command = unit_command(text_of(file));
  if (command.empty()) return arguments.host;
  auto host = arguments.host;
  try {
    host = parse(command).host;
  } catch (const Error&) {
    // A later version wrote it: its home folder is unknown, but the unit can be removed.
    return host;
  }
  if (!arguments.host.home.empty() && cli::home_of(host) != cli::home_of(arguments.host)) {
    throw Error{ErrorCode::InvalidState, fmt::format("'{}' is for home folder '{}'; name that one with --home",
                                                     file.native(), cli::home_of(host).native())};
  }
  return host;
}

/// Ends agents, if their unit was removed, and the network unless a unit needs it: nobody else would take it away.
/// Returns what stays.
std::vector<std::string> leave_home(const Arguments& arguments, const Backend& backend,
                                    const std::vector<std::string>& names) {
  const auto home = cli::home_of(arguments.host);
  std::vector<std::string> stays;
  if (!std::filesystem::is_directory(home)) return stays;
  const Log log{LogLevel::Warning, writes_to_journal()};
  const auto sink = [log](LogLevel level, std::string_view line) { log(level, line); };
  if (std::ranges::find(names, agents_unit) != names.end()) {
    stays = shut_down(*backend.agents(arguments.host, sink), own_folder(arguments), shutdown_limit).failed;
    // They are not to be started again by an overseer that is installed later.
    static_cast<void>(take_interrupted(own_folder(arguments)));
  }
  const bool is_needed = std::ranges::any_of(std::array{irc_unit, overseer_unit}, [&](const char* name) {
    return std::filesystem::exists(unit_file(name, install_options(arguments)));
  });
  try {
    if (!is_needed) backend.network_down(arguments.host, sink);
  } catch (const Error& problem) {
    stays.push_back(fmt::format("the network: {}", problem.what()));
  }
  stays.push_back(fmt::format("'{}' with agents, workspaces and images", home.native()));
  return stays;
}

/// The same for root, who does not work in another user's folder: as that user, with the right to the network that its
/// services had.
std::vector<std::string> leave_home_as(const struct stat& owner, const Arguments& arguments,
                                       const std::vector<std::string>& names) {
  const auto folder = unit_file(names.front(), install_options(arguments)).parent_path();
  const auto own = cli::to_argv(arguments.host);
  std::vector<std::string> argv{"setpriv", fmt::format("--reuid={}", owner.st_uid),
                                fmt::format("--regid={}", owner.st_gid), "--clear-groups"};
  // Root of a container may not have it; then its machines do without as well.
  if (::prctl(PR_CAPBSET_READ, CAP_NET_ADMIN) == 1) {
    argv.insert(argv.end(), {"--inh-caps=+net_admin", "--ambient-caps=+net_admin"});
  }
  argv.push_back(own_program().native());
  argv.insert(argv.end(), own.begin(), own.end());
  if (names == irc_services()) argv.emplace_back("irc");
  argv.insert(argv.end(), {"uninstall", "--json", "--no-enable", "--unit-folder", folder.native()});
  return nlohmann::json::parse(cli::output_of(argv)).at("stays").get<std::vector<std::string>>();
}

}  // namespace

int uninstall_units(const Arguments& arguments, const Backend& backend, const std::vector<std::string>& names,
                    const Parse& parse) {
  const auto options = install_options(arguments);
  std::vector<Arguments> homes;
  for (const auto& name : names) {
    auto one = arguments;
    one.host = host_of(name, arguments, options, parse);
    one.host.home = cli::home_of(one.host).native();
    const auto is_same = [&](const Arguments& other) { return other.host.home == one.host.home; };
    if (std::ranges::none_of(homes, is_same)) homes.push_back(std::move(one));
  }
  std::vector<std::string> removed;
  std::vector<std::string> stays;
  for (const auto& name : names) {
    try {
      if (uninstall(name, options)) removed.push_back(unit_file(name, options).native());
    } catch (const Error& problem) {
      if (problem.code() == ErrorCode::PermissionDenied) throw;
      stays.push_back(fmt::format("'{}': {}", unit_file(name, options).native(), problem.what()));
    }
  }
  for (const auto& home : homes) {
    try {
      struct stat owner {};
      const bool others = ::geteuid() == 0 && ::stat(home.host.home.c_str(), &owner) == 0 && owner.st_uid != 0;
      for (auto& what : others ? leave_home_as(owner, home, names) : leave_home(home, backend, names)) {
        stays.push_back(std::move(what));
      }
    } catch (const std::exception& problem) {
      stays.push_back(fmt::format("all in '{}': {}", home.host.home, problem.what()));
    }
  }
  if (arguments.json) {
    const nlohmann::ordered_json out{{"removed", removed}, {"stays", stays}};
    print_json(out);
    return 0;
  }
  for (const auto& file : removed) std::puts(fmt::format("removed {}", file).c_str());
  if (removed.empty()) std::puts("there is no unit to remove");
  for (const auto& what : stays) std::puts(fmt::format("stays: {}", what).c_str());
  return 0;
}

namespace {

/// A distribution starts an IRC server's own service when it installs it, with a configuration that no agent can use.
void require_free_port(const Arguments& arguments) {
  // One that runs already is ours.
  if (std::filesystem::exists(unit_file(irc_unit, install_options(arguments)))) return;
  const cli::Fd socket{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(arguments.irc_port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int on = 1;
  ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 || errno != EADDRINUSE) {
    return;
  }
  throw Error{
      ErrorCode::InvalidState,
      fmt::format("another program has port {0} of 127.0.0.1. If it is the IRC server's own service, end it with: "
                  "systemctl disable --now {1}; if not, see: ss -ltnp sport = :{0}; or choose another port "
                  "with --port",
                  arguments.irc_port, find_irc_server().program.filename().native())};
}

std::vector<Unit> irc_units(const Arguments& arguments) {
  Unit unit;
  unit.name = irc_unit;
  unit.description = "fireclaw's private IRC server";
  unit.command = {own_program().native()};
  add_host(unit, arguments);
  unit.command.insert(unit.command.end(), {"irc", "--port", std::to_string(arguments.irc_port)});
  for (const auto& address : arguments.listen) unit.command.insert(unit.command.end(), {"--listen", address});
  if (arguments.websocket_port != 0) {
    unit.command.insert(unit.command.end(), {"--websocket", std::to_string(arguments.websocket_port)});
  }
  return {unit};
}

}  // namespace

int install_irc(const Arguments& arguments) {
  static_cast<void>(find_irc_server());
  require_home(arguments);
  require_free_port(arguments);
  return install_unit(std::move(irc_units(arguments).front()), arguments);
}

namespace {

/// A unit file that is installed for the home folder.
struct Installed {
  Unit unit;
  InstallOptions options;
  std::filesystem::path file;
  /// This version writes it in another way.
  bool is_old = false;
  /// Its place can be written to.
  bool is_ours = false;
};

/// The units of both managers, unless one is named; without those of other home folders.
std::vector<Installed> installed_units(const Arguments& arguments, const Parse& parse) {
  auto options = install_options(arguments);
  std::vector<InstallOptions> managers{options};
  if (options.folder.empty() && !options.user) {
    options.user = true;
    if (!environment("HOME").empty()) managers.push_back(options);
  }
  std::vector<Installed> found;
  for (const auto& manager : managers) {
    for (const auto* name : {irc_unit, agents_unit, overseer_unit}) {
      Installed one;
      one.options = manager;
      one.file = unit_file(name, manager);
      const auto text = text_of(one.file);
      const auto command = unit_command(text);
      if (command.empty()) continue;
      auto given = parse(command);
      if (cli::home_of(given.host) != cli::home_of(arguments.host)) continue;
      auto units = name == std::string_view{irc_unit} ? irc_units(given) : overseer_units(given);
      one.unit = *std::ranges::find(units, name, &Unit::name);
      one.unit.command.front() = command.front();
      if (!manager.user) run_as_owner(one.unit);
      one.is_old = to_unit_file(one.unit, manager.user) != text;
      one.is_ours = ::access(one.file.parent_path().c_str(), W_OK) == 0 && (manager.user || ::geteuid() == 0);
      found.push_back(std::move(one));
    }
  }
  return found;
}

}  // namespace

int look_at_units(const Arguments& arguments, const Parse& parse) {
  auto list = nlohmann::ordered_json::array();
  for (const auto& one : installed_units(arguments, parse)) {
    const bool renews = arguments.renew && one.is_old && one.is_ours;
    if (renews) rewrite(one.unit, one.options);
    std::string remedy;
    if (one.is_old && !renews) {
      remedy = one.is_ours ? "fireclaw upgrade"
                           : fmt::format("sudo fireclaw --home {} overseer units --renew",
                                         cli::home_of(arguments.host).native());
    }
    if (!arguments.json) {
      const auto state = renews ? ": written again" : one.is_old ? ": of an earlier version; " + remedy : "";
      std::puts((one.file.native() + state).c_str());
    }
    list.push_back({{"unit", one.file.native()}, {"old", one.is_old}, {"renewed", renews}, {"remedy", remedy}});
  }
  if (arguments.json) print_json(list);
  return 0;
}

void tend_units(const Arguments& arguments, const Parse& parse, const Log& log) {
  try {
    for (const auto& one : installed_units(arguments, parse)) {
      if (!one.is_old) continue;
      if (!one.is_ours) {
        log(LogLevel::Warning, fmt::format("'{}' is of an earlier version; run, as root: fireclaw --home {} overseer "
                                           "units --renew",
                                           one.file.native(), cli::home_of(arguments.host).native()));
        continue;
      }
      rewrite(one.unit, one.options);
      log(LogLevel::Info, fmt::format("wrote '{}' again, which was of an earlier version", one.file.native()));
    }
  } catch (const std::exception& problem) {
    log(LogLevel::Warning, fmt::format("cannot tell whether its unit files are old: {}", problem.what()));
  }
}

std::vector<std::string> overseer_services() { return {overseer_unit, agents_unit}; }
std::vector<std::string> irc_services() { return {irc_unit}; }

}  // namespace fireclaw::overseer
