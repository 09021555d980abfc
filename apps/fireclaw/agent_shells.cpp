#include <unistd.h>

#include <memory>
#include <string>

#include "command.hpp"
#include "guest_command.hpp"
#include "output.hpp"

namespace fireclaw::cli {
namespace {

struct ExecCommand {
  std::string name;
  GuestCommand guest;
};

/// What a command printed has been passed on already, unless JSON is wanted.
int print_ended(const ExecResult& result, const Context& context) {
  const int status = status_of(result, context);
  if (context.json) print_json(to_json(result, status));
  return status;
}

int execute(const ExecCommand& options, const Context& context) {
  if (options.guest.command.empty()) {
    throw Error{ErrorCode::InvalidArgument, "no command was given; try for example \"uname -a\""};
  }
  const auto exec = make_exec(options.guest, context);
  const auto agent = context.open_host().agents().open(options.name);
  return print_ended(wait_for(agent.spawn(exec), options.guest), context);
}

int ssh(const ExecCommand& given, const Context& context) {
  auto options = given;
  // Without a command, as ssh does: a terminal if we have one.
  if (options.guest.command.empty()) options.guest.tty = options.guest.tty || ::isatty(STDIN_FILENO) == 1;
  const auto exec = make_exec(options.guest, context);
  const auto agent = context.open_host().agents().open(options.name);
  return print_ended(wait_for(agent.ssh(exec), options.guest), context);
}

/// A command that runs something in an agent's machine; `words` says what.
CLI::App* add(CLI::App& group, const char* name, const char* help, const char* words,
              const std::shared_ptr<ExecCommand>& options, int (*run)(const ExecCommand&, const Context&),
              Context& context, Action& action) {
  options->guest.timeout = "0";
  auto* sub = group.add_subcommand(name, help);
  add_json(*sub, context);
  sub->add_option("name", options->name, "Agent name")->required()->type_name("AGENT");
  sub->add_option("command", options->guest.command, words)->type_name("COMMAND");
  set_action(*sub, context, action, run, options);
  return sub;
}

}  // namespace

void add_agent_shells(CLI::App& group, Context& context, Action& action) {
  const auto command = std::make_shared<ExecCommand>();
  auto* exec = add(group, "exec", "Run a command in an agent's machine, as user agent in /workspace",
                   "Shell line, or (after --) program and arguments", command, execute, context, action);
  exec->add_option("-t,--timeout", command->guest.timeout, "End the command after this long; 0: never")
      ->type_name("TIME")
      ->capture_default_str();
  add_guest_command_options(*exec, command->guest);
  exec->footer(
      "Examples:\n"
      "  fireclaw agent exec worker \"ls -l\"\n"
      "  fireclaw agent exec worker -u root -- apt-get --version\n"
      "  fireclaw agent exec worker -i --tty bash");

  const auto login = std::make_shared<ExecCommand>();
  auto* log_in = add(group, "ssh", "Log in to an agent's machine by SSH, as user agent",
                     "Shell line, or (after --) program and arguments; default: a shell", login, ssh, context, action);
  log_in->add_flag("--tty", login->guest.tty, "Give the command a terminal");
  log_in->footer(
      "Uses the key pair in the home folder, and nothing of your own SSH configuration.\n\n"
      "Examples:\n"
      "  fireclaw agent ssh ada\n"
      "  fireclaw agent ssh ada \"df -h /workspace\"");
}

}  // namespace fireclaw::cli
