#include "program.hpp"

#include <fcntl.h>
#include <sys/file.h>
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

#include "arguments.hpp"
#include "common/command_line/mistakes.hpp"
#include "common/command_line/program.hpp"
#include "common/failure.hpp"
#include "common/files/fd.hpp"
#include "common/files/private_folder.hpp"
#include "common/text/text.hpp"
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
#include "services.hpp"
#include "settings.hpp"
#include "signals.hpp"
#include "status/server.hpp"

namespace fireclaw::overseer {
namespace {

constexpr const char* program = "fireclaw-overseer";

constexpr const char* settings_help =
    "An operator is a mask as in alice!*@example.org, or account:alice for a person who is logged in to the network's "
    "services as alice. Without operators the overseer uses only a server on localhost, and obeys the user who "
    "started it: everybody who is connected from this machine, if all of them are that user; otherwise a person who "
    "says in private !login and the word from the overseer's terminal. It never obeys agents.\n\n"
    "Everything can also be set in a file, a JSON object: FILE of --config, or else overseer.json in the home folder. "
    "The command line overrides it.\n\n"
    "Settings:\n"
    "  server, port, tls, tls_verify, tls_ca, password  The IRC server (\"localhost\", 6667; with tls 6697).\n"
    "  nick, user, realname, sasl_user, sasl_password  Its identity there.\n"
    "  channel, channel_key, operators  The channel to listen in, and who may give commands (a list).\n"
    "  message_burst, message_interval_s  How fast to speak (5, then one each 1.0; with fireclaw irc 100, 0.01).\n"
    "  connect_timeout_s, reconnect_first_s, reconnect_longest_s  Limits and waits for connecting.\n"
    "  ping_after_s, ping_timeout_s, regain_s, rejoin_s  Limits and waits once connected.\n"
    "  workers, most_waiting  Changes to agents at once (4), and waiting (100).\n"
    "  restart_tries, restart_wait_s, restart_forgiven_s  For agents that die (3, 1.0, 300).\n"
    "  audit_log, metrics, survey_s, log_level, stop_agents  Logs, metrics, surveys, and the end.\n\n"
    "Exit status:\n"
    "  0    It was ended in order.\n"
    "  125  It could not start, or did not understand its arguments.\n\n"
    "Examples:\n"
    "  fireclaw overseer\n"
    "  fireclaw overseer --server irc.example.org --tls --operator account:alice\n"
    "  fireclaw overseer install --config /etc/fireclaw/overseer.json\n"
    "  fireclaw overseer status";

/// The options that only a running overseer has.
constexpr const char* running = "Running";

/// Held as long as this overseer lives. Error(AlreadyExists) if another one has the home folder.
cli::Fd take_lock(const std::filesystem::path& folder) {
  cli::make_private_folder(folder);
  std::filesystem::permissions(folder, std::filesystem::perms::owner_all);
  cli::Fd lock{::open((folder / "lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)};
  if (!lock) throw Error{ErrorCode::Io, fmt::format("'{}': {}", (folder / "lock").native(), std::strerror(errno))};
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    throw Error{
        ErrorCode::AlreadyExists,
        fmt::format("an overseer already runs for '{}'; see: fireclaw overseer status", folder.parent_path().native())};
  }
  return lock;
}

/// What works but should not stay as it is.
void warn_of_secrets(const Settings& settings, const std::filesystem::path& file, const Log& log) {
  const auto& identity = settings.identity;
  if (identity.password.empty() && identity.sasl_password.empty()) return;
  if (!settings.server.tls && !is_loopback_name(settings.server.host)) {
    log(LogLevel::Warning, "others on the network can read the password; use tls");
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
  tend_units(
      arguments, [&](const auto& command) { return arguments_of(command, backend, signals); }, log);
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
  app.add_flag("--stop-agents", arguments.stop_agents, "Stop the agents too when the overseer ends")->group(running);
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
  const Parse parse = [&](const auto& command) { return arguments_of(command, backend, signals); };

  auto* status = app.add_subcommand("status", "Show the state of a running overseer");
  status->footer(
      "Examples:\n"
      "  fireclaw overseer status --json");
  add_json(*status, arguments);
  status->callback([&] { action = [&] { return show_status(arguments); }; });
  auto* audit = app.add_subcommand("audit", "Check the audit log");
  audit->require_subcommand(1);
  audit->footer(
      "Examples:\n"
      "  fireclaw overseer audit verify");
  audit->fallthrough();
  auto* verify = audit->add_subcommand("verify", "Find lines that were changed, put in or taken out");
  verify->footer(
      "Each line holds a digest of the one before it. Only the last \"chain\" shows whether lines are missing at the "
      "end: compare it with one that you noted, or with that of: fireclaw overseer status --json\n\n"
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
      "The services' files name the home folder. The agents' network is removed too (fireclaw network down) once "
      "nothing uses it.\n\n"
      "Examples:\n"
      "  fireclaw overseer uninstall");
  add_install_options(*uninstall, arguments);
  uninstall->callback(
      [&, parse] { action = [&, parse] { return uninstall_units(arguments, backend, overseer_services(), parse); }; });
  auto* units = app.add_subcommand("units", "Show the installed services, and which an earlier version wrote");
  units->add_flag("--renew", arguments.renew, "Write those again; running services continue");
  units->footer(
      "'fireclaw upgrade' does the same. A service follows its new file from its next start on.\n\n"
      "Examples:\n"
      "  fireclaw overseer units\n"
      "  sudo fireclaw --home ~/.fireclaw overseer units --renew");
  add_install_options(*units, arguments);
  units->callback([&, parse] { action = [&, parse] { return look_at_units(arguments, parse); }; });
  auto* shutdown = app.add_subcommand("shutdown", "End agents and machines with names in order, side by side");
  shutdown->footer(
      "The service does this when the system stops. The next overseer starts these agents again; agents that were "
      "stopped before stay stopped. To start machines with names: fireclaw vm start NAME\n\n"
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
  irc_uninstall->callback(
      [&, parse] { action = [&, parse] { return uninstall_units(arguments, backend, irc_services(), parse); }; });
  irc->footer(
      "Runs InspIRCd, or ngIRCd if that is missing, with its own configuration, and starts it again when it dies. Its "
      "channels are #agents and #control. ngIRCd accepts a few lines a second from each client; InspIRCd has no such "
      "limit here.\n\n"
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
