#include "program.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include <utility>

#include <fmt/format.h>

#include "common/failure.hpp"
#include "common/fd.hpp"
#include "common/mistakes.hpp"
#include "common/private_folder.hpp"
#include "common/program.hpp"
#include "common/text.hpp"
#include "crew/audit.hpp"
#include "crew/shutdown.hpp"
#include "fireclaw/error.hpp"
#include "fireclaw/version.hpp"
#include "irc/resolver.hpp"
#include "irc/text.hpp"
#include "log.hpp"
#include "overseer.hpp"
#include "service/irc_server.hpp"
#include "service/notifier.hpp"
#include "service/units.hpp"
#include "settings.hpp"
#include "signals.hpp"
#include "status/server.hpp"

namespace fireclaw::overseer {
namespace {

/// As the command line of fireclaw has it.
constexpr int exit_failure = 125;

constexpr const char* program = "fireclaw-overseer";

void print_json(const nlohmann::ordered_json& value) {
  const auto text = value.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  std::puts(cli::escape_controls(text).c_str());
}

constexpr const char* settings_help =
    "An operator is a mask as in alice!*@example.org, or account:alice for who is logged in to the network's services. "
    "Without operators the user who has started it is obeyed, and only a server on localhost is used. "
    "It obeys all who are connected from this machine, as long as they all belong to that user; otherwise a person who "
    "says, in private, !login and the word that it writes on its terminal. Agents are never obeyed.\n\n"
    "Everything can also be set in a file, a JSON object: FILE of --config, or else overseer.json in the home folder. "
    "The command line overrides it.\n\n"
    "Settings:\n"
    "  server, port, tls, tls_verify, tls_ca, password  The IRC server (\"localhost\", 6667; with tls 6697).\n"
    "  nick, user, realname, sasl_user, sasl_password  Its identity there.\n"
    "  channel, channel_key, operators  Where to listen, and whom to obey (a list).\n"
    "  message_burst, message_interval_s  How fast to speak (5, then one each 1.0; with fireclaw irc 100, 0.01).\n"
    "  connect_timeout_s, reconnect_first_s, reconnect_longest_s  Limits and waits for connecting.\n"
    "  ping_after_s, ping_timeout_s, regain_s, rejoin_s  Limits and waits once connected.\n"
    "  workers, most_waiting  Changes to agents at once (4), and waiting (100).\n"
    "  restart_tries, restart_wait_s, restart_forgiven_s  For agents that die (3, 1.0, 300).\n"
    "  audit_log, metrics, survey_s, log_level, stop_agents  Logs, metrics, surveys, and the end.\n\n"
    "Exit status:\n"
    "  0    It was ended in order.\n"
    "  125  It could not start, or did not understand what was asked for.\n\n"
    "Examples:\n"
    "  fireclaw overseer\n"
    "  fireclaw overseer --server irc.example.org --tls --operator account:alice\n"
    "  fireclaw overseer install --config /etc/fireclaw/overseer.json\n"
    "  fireclaw overseer status";

constexpr const char* overseer_unit = "fireclaw-overseer";
constexpr const char* agents_unit = "fireclaw-agents";
constexpr const char* irc_unit = "fireclaw-irc";
/// After this no other agent's end is begun; what was begun takes 15 s at most. The unit has more.
constexpr std::chrono::seconds shutdown_limit{150};
static_assert(shutdown_limit + std::chrono::seconds{20} < machines_stop_limit);

/// The options that only a running overseer has.
constexpr const char* running = "Running";

/// What the command line says; what it leaves out is as the file or the default has it.
struct Arguments {
  cli::HostArguments host;
  std::string config;
  std::optional<std::string> server;
  std::optional<std::uint16_t> port;
  std::optional<std::string> nick;
  std::optional<std::string> channel;
  bool tls = false;
  std::optional<std::string> tls_ca;
  std::optional<std::string> sasl_user;
  std::string sasl_password_file;
  std::vector<std::string> operators;
  std::optional<unsigned> workers;
  std::optional<std::string> metrics;
  std::optional<std::string> log_level;
  bool stop_agents = false;

  bool json = false;
  InstallOptions install;
  std::string unit_folder;
  bool no_enable = false;
  bool renew = false;
  std::uint16_t irc_port = 6667;
  std::vector<std::string> listen;
  std::uint16_t websocket_port = 0;
};

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

/// Whether standard error goes to the journal, as systemd says it does.
bool writes_to_journal() {
  struct stat about {};
  return ::fstat(STDERR_FILENO, &about) == 0 &&
         environment("JOURNAL_STREAM") == fmt::format("{}:{}", about.st_dev, about.st_ino);
}

std::filesystem::path own_program() { return std::filesystem::read_symlink("/proc/self/exe"); }

std::string first_line_of(const std::string& path) {
  std::ifstream file{path};
  std::string line;
  if (!file || !std::getline(file, line) || line.empty()) {
    throw Error{ErrorCode::NotFound, fmt::format("'{}' holds no password on its first line", path)};
  }
  return line;
}

std::filesystem::path config_file(const Arguments& arguments) {
  if (!arguments.config.empty()) return std::filesystem::absolute(arguments.config);
  const auto usual = cli::home_of(arguments.host) / "overseer.json";
  return std::filesystem::exists(usual) ? usual : std::filesystem::path{};
}

Settings settings_from(const Arguments& arguments) {
  const auto file = config_file(arguments);
  auto settings = file.empty() ? Settings{} : read_settings(file);
  auto& server = settings.server;
  if (arguments.server) server.host = *arguments.server;
  if (arguments.tls && !server.tls) {
    server.tls = true;
    if (server.port == IrcServer{}.port) server.port = 6697;
  }
  if (arguments.port) server.port = *arguments.port;
  if (arguments.tls_ca) server.tls_ca = *arguments.tls_ca;
  if (arguments.nick) settings.identity.nick = *arguments.nick;
  if (arguments.channel) settings.identity.channel = *arguments.channel;
  if (arguments.sasl_user) settings.identity.sasl_user = *arguments.sasl_user;
  if (!arguments.sasl_password_file.empty()) {
    settings.identity.sasl_password = first_line_of(arguments.sasl_password_file);
  }
  if (!arguments.operators.empty()) settings.operators = arguments.operators;
  if (arguments.workers) settings.crew.changes = *arguments.workers;
  if (arguments.metrics) settings.metrics = *arguments.metrics;
  if (arguments.log_level) settings.log_level = log_level_from_string(*arguments.log_level);
  settings.stop_agents = settings.stop_agents || arguments.stop_agents;
  check(settings);
  return settings;
}

std::filesystem::path own_folder(const Arguments& arguments) { return cli::home_of(arguments.host) / "overseer"; }

/// Held as long as this overseer lives. Error(AlreadyExists) if another one has the home folder.
cli::Fd take_lock(const std::filesystem::path& folder) {
  cli::make_private_folder(folder);
  std::filesystem::permissions(folder, std::filesystem::perms::owner_all);
  cli::Fd lock{::open((folder / "lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)};
  if (!lock) throw Error{ErrorCode::Io, fmt::format("'{}': {}", (folder / "lock").native(), std::strerror(errno))};
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    throw Error{ErrorCode::AlreadyExists,
                fmt::format("an overseer looks after '{}' already; see: fireclaw overseer status",
                            folder.parent_path().native())};
  }
  return lock;
}

/// What works but should not stay as it is.
void warn_of_secrets(const Settings& settings, const std::filesystem::path& file, const Log& log) {
  const auto& identity = settings.identity;
  if (identity.password.empty() && identity.sasl_password.empty()) return;
  if (!settings.server.tls && !is_loopback_name(settings.server.host)) {
    log(LogLevel::Warning, "the password goes over the network for all to read; use tls");
  }
  if (settings.server.tls && !settings.server.tls_verify) {
    log(LogLevel::Warning,
        "the password goes to any server that claims to be the right one; name its certificate's file with tls_ca");
  }
  struct stat about {};
  if (!file.empty() && ::stat(file.c_str(), &about) == 0 && (about.st_mode & 077) != 0) {
    log(LogLevel::Warning,
        fmt::format("'{}' holds a password that others on this machine can read; run: chmod 600 '{}'", file.native(),
                    file.native()));
  }
}

void tend_units(const Arguments& arguments, const Backend& backend, Signals& signals, const Log& log);

int oversee(const Arguments& arguments, const Backend& backend, Signals& signals) {
  const auto settings = settings_from(arguments);
  const Log log{settings.log_level, writes_to_journal()};
  warn_of_secrets(settings, config_file(arguments), log);
  const Notifier notifier{environment("NOTIFY_SOCKET"), environment("WATCHDOG_USEC")};
  const auto folder = own_folder(arguments);
  // The library looks the home folder over, and makes it, before anything of ours goes there.
  const auto agents =
      backend.agents(arguments.host, [log](LogLevel level, std::string_view line) { log(level, line); });
  const auto lock = take_lock(folder);
  tend_units(arguments, backend, signals, log);
  EventLoop loop;
  Overseer overseer{loop, *agents, settings, folder, notifier, log};
  signals.attach(loop, [&](int) { overseer.shut_down(); });
  overseer.begin();
  loop.run();
  return 0;
}

int show_status(const Arguments& arguments) {
  const auto text = get_unix(own_folder(arguments) / "socket", "/status");
  if (arguments.json) {
    std::fputs(cli::escape_controls(text).c_str(), stdout);
    return 0;
  }
  const auto status = nlohmann::json::parse(text, nullptr, false);
  if (status.is_discarded()) throw Error{ErrorCode::Corrupt, "the overseer's answer is not JSON"};
  const auto& irc = status.at("irc");
  const auto line = [](std::string_view name, const std::string& value) {
    std::puts(fmt::format("{:<8} {}", name, printable(value)).c_str());
  };
  line("version", status.at("version").get<std::string>());
  line("process", fmt::format("{}, up {}", status.at("pid").get<int>(),
                              human_age(std::chrono::seconds{status.at("uptime_s").get<std::int64_t>()})));
  const auto server = irc.at("server").get<std::string>();
  line("irc", irc.at("online").get<bool>()
                  ? fmt::format("{} as {}, {} {}", server, irc.at("nick").get<std::string>(),
                                irc.at("joined").get<bool>() ? "in" : "not in", irc.at("channel").get<std::string>())
                  : fmt::format("{}, not connected", server));
  if (const auto error = irc.value("last_error", ""); !error.empty()) line("error", error);
  for (const auto& agent : status.at("agents")) {
    line("agent", fmt::format("{} [{}] {}", agent.at("name").get<std::string>(), agent.at("model").get<std::string>(),
                              agent.at("running").get<bool>() ? "running" : "not running"));
  }
  return 0;
}

int verify_log(const Arguments& arguments) {
  const auto& named = settings_from(arguments).audit_log;
  const auto path = named.empty() ? own_folder(arguments) / "audit.log" : named;
  const auto report = verify_audit(path);
  if (arguments.json) {
    const nlohmann::ordered_json out{{"file", path.native()},
                                     {"lines", report.lines},
                                     {"unchained", report.unchained},
                                     {"complete", report.complete},
                                     {"chain", report.chain}};
    print_json(out);
    return 0;
  }
  std::puts(fmt::format("{} lines, none of them changed or missing", report.lines).c_str());
  if (!report.complete) std::puts("older lines have made room for newer ones");
  if (report.unchained > 0)
    std::puts(fmt::format("{} lines are of a version that wrote no chain", report.unchained).c_str());
  if (!report.chain.empty()) std::puts(fmt::format("chain {}", report.chain).c_str());
  return 0;
}

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

int install_overseer(const Arguments& arguments) {
  require_home(arguments);
  auto units = overseer_units(arguments);
  if (!arguments.install.user) run_as_owner(units.front());
  install(units.front(), install_options(arguments));
  return install_unit(std::move(units.back()), arguments);
}

/// Ends agents and machines with names: what the unit does when the system stops, and people before they remove it.
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

/// Removes units, and then the network, unless somebody uses it: nobody else would take it away.
int uninstall_units(const Arguments& arguments, const Backend& backend, const std::vector<std::string>& names) {
  const auto options = install_options(arguments);
  std::vector<std::string> removed;
  for (const auto& name : names) {
    if (uninstall(name, options)) removed.push_back(unit_file(name, options).native());
  }
  const auto home = cli::home_of(arguments.host);
  std::vector<std::string> stays;
  if (std::filesystem::is_directory(home)) {
    const bool ends_agents = std::ranges::find(names, agents_unit) != names.end();
    const Log log{LogLevel::Warning, writes_to_journal()};
    const auto sink = [log](LogLevel level, std::string_view line) { log(level, line); };
    if (ends_agents) {
      try {
        for (auto& problem :
             shut_down(*backend.agents(arguments.host, sink), own_folder(arguments), shutdown_limit).failed) {
          stays.push_back(std::move(problem));
        }
      } catch (const Error& problem) {
        // Root does not work in another user's folder. The unit, which that user was, has ended them.
        stays.push_back(fmt::format("agents that the unit did not end: {}", problem.what()));
      }
      // They are not to be started again by an overseer that is installed later.
      static_cast<void>(take_interrupted(own_folder(arguments)));
    }
    const bool is_needed = std::ranges::any_of(std::array{irc_unit, overseer_unit}, [&](const char* name) {
      return std::filesystem::exists(unit_file(name, options));
    });
    try {
      if (!is_needed) backend.network_down(arguments.host, sink);
    } catch (const Error& problem) {
      stays.push_back(fmt::format("the network: {}", problem.what()));
    }
    stays.push_back(fmt::format("'{}' with agents, workspaces and images", home.native()));
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

int install_irc(const Arguments& arguments) {
  static_cast<void>(find_irc_server());
  require_home(arguments);
  require_free_port(arguments);
  return install_unit(std::move(irc_units(arguments).front()), arguments);
}

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

void add_commands(CLI::App& app, Arguments& arguments, std::function<int()>& action, const Backend& backend,
                  Signals& signals);

/// What was asked for when the unit of this command was installed.
Arguments arguments_of(const std::vector<std::string>& command, const Backend& backend, Signals& signals) {
  Arguments arguments;
  std::function<int()> action;
  CLI::App app;
  add_commands(app, arguments, action, backend, signals);
  try {
    // From the last to the first.
    app.parse(std::vector<std::string>{command.rbegin(), command.rend() - 1});
  } catch (const CLI::ParseError& problem) {
    throw Error{ErrorCode::InvalidState,
                fmt::format("a unit's command, '{}', is not understood: {}", fmt::join(command, " "), problem.what())};
  }
  return arguments;
}

std::string text_of(const std::filesystem::path& path) {
  std::ifstream file{path, std::ios::binary};
  return {std::istreambuf_iterator<char>{file}, {}};
}

/// Of both managers, unless one is named. A unit of another home folder is not this one's.
std::vector<Installed> installed_units(const Arguments& arguments, const Backend& backend, Signals& signals) {
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
      auto given = arguments_of(command, backend, signals);
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

/// Shows which unit files are old, and writes these again.
int look_at_units(const Arguments& arguments, const Backend& backend, Signals& signals) {
  auto list = nlohmann::ordered_json::array();
  for (const auto& one : installed_units(arguments, backend, signals)) {
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

/// What an overseer does about its own unit files when it starts. Confined as the system's service it cannot write
/// them.
void tend_units(const Arguments& arguments, const Backend& backend, Signals& signals, const Log& log) {
  try {
    for (const auto& one : installed_units(arguments, backend, signals)) {
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

int serve_irc(const Arguments& arguments, const Backend& backend, Signals& signals) {
  const Log log{LogLevel::Info, writes_to_journal()};
  const Notifier notifier{environment("NOTIFY_SOCKET"), environment("WATCHDOG_USEC")};
  IrcServerOptions options;
  options.port = arguments.irc_port;
  const auto found = find_irc_server();
  options.software = found.software;
  options.program = found.program;
  options.websocket_port = arguments.websocket_port;
  if (options.websocket_port != 0 && options.software != IrcSoftware::Inspircd) {
    throw Error{ErrorCode::NotFound,
                "--websocket needs inspircd; on Debian: apt-get install --no-install-recommends inspircd"};
  }
  options.folder = cli::home_of(arguments.host) / "irc";
  options.addresses = arguments.listen;
  if (options.addresses.empty()) {
    options.addresses = {"127.0.0.1"};
    try {
      for (auto& address :
           backend.addresses(arguments.host, [log](LogLevel level, std::string_view line) { log(level, line); })) {
        options.addresses.push_back(std::move(address));
      }
    } catch (const Error& problem) {
      log(LogLevel::Warning,
          fmt::format("only on loopback, which agents with the engine's own network reach: {}", problem.what()));
    }
  }
  if (const auto advice = advice_for_agents(cli::home_of(arguments.host) / "config.json", options.port);
      !advice.empty()) {
    log(LogLevel::Warning, advice);
  }
  return run_irc_server(options, signals, notifier, log);
}

void add_run_options(CLI::App& app, Arguments& arguments) {
  const auto add = [&](const char* name, auto& value, const char* type, const char* text) {
    return app.add_option(name, value, text)->type_name(type)->group(running);
  };
  add("--server", arguments.server, "HOST", "IRC server; default: localhost");
  add("--port", arguments.port, "PORT", "Its port; default: 6667, with --tls 6697")
      ->check(CLI::Range(1, 65535).description(""));
  add("--nick", arguments.nick, "NICK", "Nick; default: overseer");
  add("--channel", arguments.channel, "CHANNEL", "Control channel; default: #control");
  app.add_flag("--tls", arguments.tls, "Connect with TLS")->group(running);
  add("--tls-ca", arguments.tls_ca, "FILE", "Trust the certificates in this file instead of the system's");
  add("--sasl-user", arguments.sasl_user, "NAME", "Services account to log in to");
  add("--sasl-password-file", arguments.sasl_password_file, "FILE", "File whose first line is its password");
  add("--operator", arguments.operators, "MASK", "Who may give commands")->expected(1)->take_all();
  add("--workers", arguments.workers, "NUMBER", "Changes to agents at once, 1 to 64; default: 4")
      ->check(CLI::Range(1, 64).description(""));
  add("--metrics", arguments.metrics, "WHERE", "Serve Prometheus metrics: 127.0.0.1:PORT, or a socket's path");
  add("--log-level", arguments.log_level, "debug|info|warning|error", "What to log; default: info");
  app.add_flag("--stop-agents", arguments.stop_agents, "When ended, stop the agents too")->group(running);
}

void add_json(CLI::App& app, Arguments& arguments) { app.add_flag("--json", arguments.json, "Print JSON"); }

void add_install_options(CLI::App& app, Arguments& arguments) {
  app.add_flag("--user", arguments.install.user, "For your own service manager (systemctl --user)");
  app.add_option("--unit-folder", arguments.unit_folder, "Write the unit file there")->type_name("DIR");
  app.add_flag("--no-enable", arguments.no_enable, "Leave systemd alone: only the unit file");
  add_json(app, arguments);
}

/// Options that say how to run belong into the file once a service is to find them.
void refuse_run_options(const CLI::App& app) {
  for (const auto* option : app.get_options()) {
    if (option->get_group() == running && option->count() > 0) {
      throw Error{
          ErrorCode::InvalidArgument,
          fmt::format("{} cannot be used with a command; put it into the file of --config", option->get_name())};
    }
  }
}

/// The commands; parsing leaves the function that carries one out in `action`.
void add_commands(CLI::App& app, Arguments& arguments, std::function<int()>& action, const Backend& backend,
                  Signals& signals) {
  cli::add_basics(app);
  app.footer(settings_help);
  cli::add_host_arguments(app, arguments.host);
  app.add_option("--config", arguments.config, "Settings; default: overseer.json in the home folder")
      ->type_name("FILE");
  add_run_options(app, arguments);
  action = [&] { return oversee(arguments, backend, signals); };

  auto* status = app.add_subcommand("status", "Show how a running overseer is");
  status->footer(
      "Examples:\n"
      "  fireclaw overseer status --json");
  add_json(*status, arguments);
  status->callback([&] { action = [&] { return show_status(arguments); }; });
  auto* audit = app.add_subcommand("audit", "Check what was written down of commands");
  audit->require_subcommand(1);
  audit->footer(
      "Examples:\n"
      "  fireclaw overseer audit verify");
  audit->fallthrough();
  auto* verify = audit->add_subcommand("verify", "Find lines that were changed, put in or taken out");
  verify->footer(
      "Each line holds a digest of the one before it. Whether lines are missing at the\n"
      "end shows by the last \"chain\" alone. Compare it with one that was noted, or with\n"
      "that of: fireclaw overseer status --json\n\n"
      "Examples:\n"
      "  fireclaw overseer audit verify\n"
      "  fireclaw overseer audit verify --json");
  add_json(*verify, arguments);
  verify->callback([&] { action = [&] { return verify_log(arguments); }; });
  auto* install = app.add_subcommand("install", "Make the overseer a service of systemd, and start it");
  install->footer(
      "Examples:\n"
      "  fireclaw overseer install --config /etc/fireclaw/overseer.json\n"
      "  fireclaw overseer install --user");
  add_install_options(*install, arguments);
  install->callback([&] { action = [&] { return install_overseer(arguments); }; });
  auto* uninstall = app.add_subcommand("uninstall", "Remove the services, end agents, and say what stays");
  uninstall->footer(
      "Also takes the agents' network away (fireclaw network down) once nothing uses it.\n\n"
      "Examples:\n"
      "  fireclaw overseer uninstall");
  add_install_options(*uninstall, arguments);
  uninstall->callback([&] {
    action = [&] { return uninstall_units(arguments, backend, {overseer_unit, agents_unit}); };
  });
  auto* units =
      app.add_subcommand("units", "Show the services that are installed, and which are of an earlier version");
  units->add_flag("--renew", arguments.renew, "Write those again; what runs continues as it is");
  units->footer(
      "'fireclaw upgrade' does the same. A service runs as its file says when it is next started.\n\n"
      "Examples:\n"
      "  fireclaw overseer units\n"
      "  sudo fireclaw --home ~/.fireclaw overseer units --renew");
  add_install_options(*units, arguments);
  units->callback([&] { action = [&] { return look_at_units(arguments, backend, signals); }; });
  auto* shutdown = app.add_subcommand("shutdown", "End agents and machines with names in order, side by side");
  shutdown->footer(
      "What the service does when the system stops. An overseer that is started later starts the agents again that\n"
      "ran; agents that were stopped stay so. Machines with names are started by: fireclaw vm start NAME\n\n"
      "Examples:\n"
      "  fireclaw overseer shutdown");
  add_json(*shutdown, arguments);
  shutdown->callback([&] { action = [&] { return end_machines(arguments, backend); }; });
  auto* irc = app.add_subcommand("irc", "Serve IRC to this machine and its agents (as: fireclaw irc)");
  irc->fallthrough();
  irc->add_option("--port", arguments.irc_port, "Port")
      ->type_name("PORT")
      ->check(CLI::Range(1, 65535).description(""))
      ->capture_default_str();
  irc->add_option("--listen", arguments.listen, "Address to serve; default: loopback and the agents' gateway")
      ->type_name("ADDRESS")
      ->allow_extra_args(false)
      ->check(CLI::Validator{CLI::ValidIPV4}.description(""));
  irc->add_option("--websocket", arguments.websocket_port,
                  "Port on 127.0.0.1 for clients in browsers, with pages from this machine; default: none")
      ->type_name("PORT")
      ->check(CLI::Range(1, 65535).description(""));
  irc->callback([&, irc] {
    if (irc->get_subcommands().empty()) action = [&] { return serve_irc(arguments, backend, signals); };
  });
  auto* irc_install = irc->add_subcommand("install", "Make the IRC server a service of systemd, and start it");
  irc_install->footer(
      "Examples:\n"
      "  fireclaw irc install --listen 127.0.0.1");
  add_install_options(*irc_install, arguments);
  irc_install->callback([&] { action = [&] { return install_irc(arguments); }; });
  auto* irc_uninstall = irc->add_subcommand("uninstall", "Remove the IRC server's service, and say what stays");
  irc_uninstall->footer(
      "Examples:\n"
      "  fireclaw irc uninstall");
  add_install_options(*irc_uninstall, arguments);
  irc_uninstall->callback([&] { action = [&] { return uninstall_units(arguments, backend, {irc_unit}); }; });
  irc->footer(
      "Runs InspIRCd, or ngIRCd where that is missing, with its own configuration\n"
      "and starts it again when it dies; channels #agents and #control.\n"
      "InspIRCd has no brake here. ngIRCd takes a few lines a second.\n\n"
      "Examples:\n"
      "  fireclaw irc\n"
      "  fireclaw irc --port 6668 --listen 127.0.0.1");
}

/// One page for all of it, and one for the part that is also called by itself.
std::vector<cli::PageOf> manual_pages(const CLI::App& app) {
  return {{&app, {program, {}, {"fireclaw(1)", "fireclaw-config(5)"}}},
          {app.get_subcommand("irc"), {"fireclaw-irc", {}, {"fireclaw-overseer(1)", "fireclaw(1)"}}}};
}

int parse_and_act(int argc, char** argv, const Backend& backend, Signals& signals) {
  Arguments arguments;
  std::function<int()> action;
  CLI::App app{"Run a crew of agents from an IRC channel", "fireclaw overseer"};
  add_commands(app, arguments, action, backend, signals);
  if (cli::answer_script(app, argc, argv, {}, [&] { return manual_pages(app); })) return 0;
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& problem) {
    if (problem.get_exit_code() == 0) return app.exit(problem);
    throw Error{ErrorCode::InvalidArgument, cli::explain(app, problem)};
  }
  if (!app.get_subcommands().empty()) refuse_run_options(app);
  return action();
}

}  // namespace

int run_program(int argc, char** argv, const Backend& backend) {
  const bool json = cli::wants_json(argc, argv);
  try {
    Signals signals;
    return parse_and_act(argc, argv, backend, signals);
  } catch (const Error& problem) {
    cli::print_failure(program, to_string(problem.code()), problem.what(), json);
  } catch (const std::exception& problem) {
    cli::print_failure(program, to_string(ErrorCode::Internal), problem.what(), json);
  }
  return exit_failure;
}

}  // namespace fireclaw::overseer
