#include <filesystem>
#include <string>

#include <fmt/format.h>

#include "command.hpp"
#include "common/command_line/program.hpp"
#include "common/text/style.hpp"
#include "moving.hpp"
#include "network/gateway_commands.hpp"

namespace fireclaw::cli {
namespace {

constexpr const char* footer =
    "Examples:\n"
    "  fireclaw setup\n"
    "  fireclaw run \"uname -a\"\n"
    "  fireclaw up\n"
    "  fireclaw agent start worker\n"
    "  fireclaw doctor\n\n"
    "Exit status:\n"
    "  0    Success.\n"
    "  1    doctor: something needed is missing.\n"
    "  124  A command was ended after its --timeout.\n"
    "  125  fireclaw itself failed, or did not understand its arguments.\n"
    "  126  A command in a machine could not be run; 127: it was not found.\n"
    "  128+N  Signal N ended it: Ctrl-C 130, SIGTERM 143.\n"
    "  other  The command's own (run, vm exec, agent exec, agent ssh).\n\n"
    "With --json a command prints one JSON document on standard output, and nothing else there. If it fails, that is "
    "{\"error\": {\"code\": ..., \"message\": ...}}, and the message is on standard error as well. Codes are those of "
    "the library (not_found, invalid_argument, timeout ...). Tables are cut to a terminal's width, never in a "
    "pipe.\n\n"
    "Environment:\n"
    "  FIRECLAW_HOME  The folder for everything, instead of ~/.fireclaw.\n"
    "  FIRECLAW_NET  The network without --net: none, user, nat or services.\n"
    "  FIRECLAW_CACHE  The folder that keeps downloads.\n"
    "  NO_COLOR  If set and not empty: no colours on terminals.\n"
    "  CLICOLOR_FORCE  If set and neither empty nor 0: colours also without a terminal.\n"
    "  COLUMNS  Width of the terminal, instead of what it reports.\n"
    "  http_proxy, https_proxy, no_proxy  Proxies for downloads.\n\n"
    "Files:\n"
    "  ~/.fireclaw  Everything; see --home.\n"
    "  ~/.fireclaw/config.json  Settings that override the defaults; see fireclaw-config(5).";

}  // namespace

void add_json(CLI::App& command, Context& context) { command.add_flag("--json", context.json, "Print JSON"); }

void add_run_alone(CLI::App& app, Context& context, Action& action) {
  add_basics(app);
  app.require_subcommand(1);
  add_host_arguments(app, context.host);
  add_run(app, context, action);
}

void add_commands(CLI::App& app, Context& context, Action& action) {
  add_run_alone(app, context, action);
  app.footer(footer);
  add_setup(app, context, action);
  add_upgrade(app, context, action);
  add_doctor(app, context, action);
  add_snapshot(app, context, action);
  add_image(app, context, action);
  add_up(app, context, action);
  add_agent(app, context, action);
  add_vm(app, context, action);
  add_ps(app, context, action);
  add_network(app, context, action);
  add_gateway(app, context, action);
  add_secret(app, context, action);
  add_workspace(app, context, action);
  add_gc(app, context, action);
  add_backup(app, context, action);
  add_bench(app, context, action);
  add_programs(app, context, action);
}

Host Context::open_host() const {
  const auto home = home_of(host);
  if (!std::filesystem::exists(home)) {
    throw Error{ErrorCode::NotFound, fmt::format("there is no folder '{}' yet; run: fireclaw setup", home.native())};
  }
  return make_host();
}

Host Context::make_host() const {
  const auto log = [shown = verbose ? LogLevel::Debug : LogLevel::Warning](LogLevel level, std::string_view message) {
    if (level >= shown) print_message("fireclaw", message);
  };
  return Host::open(host_options(host, log));
}

}  // namespace fireclaw::cli
