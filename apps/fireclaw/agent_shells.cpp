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
  AgentManager agents{context.open_host()};
  return print_ended(wait_for(agents.spawn(options.name, exec), options.guest), context);
}

void add_exec(CLI::App& group, Context& context, Action& action) {
  auto options = std::make_shared<ExecCommand>();
  options->guest.timeout = "0";
  auto* sub = group.add_subcommand("exec", "Run a command in an agent's machine, as user agent in /workspace");
  sub->footer(
      "Examples:\n"
      "  fireclaw agent exec worker \"ls -l\"\n"
      "  fireclaw agent exec worker -u root -- apt-get --version\n"
      "  fireclaw agent exec worker -i --tty bash");
  add_json(*sub, context);
  sub->add_option("name", options->name, "Agent name")->required()->type_name("AGENT");
  sub->add_option("command", options->guest.command, "Shell line, or (after --) program and arguments")
      ->type_name("COMMAND");
  sub->add_option("-t,--timeout", options->guest.timeout, "End the command after this long; 0: never")
      ->type_name("TIME")
      ->capture_default_str();
  add_guest_command_options(*sub, options->guest);
  sub->callback([options, &context, &action] { action = [options, &context] { return execute(*options, context); }; });
}

int ssh(ExecCommand options, const Context& context) {
  const bool shell = options.guest.command.empty();
  // Without a command, as ssh does: a terminal if we have one.
  if (shell) options.guest.tty = options.guest.tty || ::isatty(STDIN_FILENO) == 1;
  const auto exec = make_exec(options.guest, context);
  AgentManager agents{context.open_host()};
  return print_ended(wait_for(agents.ssh(options.name, exec), options.guest), context);
}

void add_ssh(CLI::App& group, Context& context, Action& action) {
  auto options = std::make_shared<ExecCommand>();
  options->guest.timeout = "0";
  auto* sub = group.add_subcommand("ssh", "Log in to an agent's machine by SSH, as user agent");
  sub->footer(
      "With the key pair in the home folder; nothing of your own SSH configuration is used.\n\n"
      "Examples:\n"
      "  fireclaw agent ssh ada\n"
      "  fireclaw agent ssh ada \"df -h /workspace\"");
  add_json(*sub, context);
  sub->add_option("name", options->name, "Agent name")->required()->type_name("AGENT");
  sub->add_option("command", options->guest.command,
                  "Shell line, or (after --) program and arguments; default: a shell")
      ->type_name("COMMAND");
  sub->add_flag("--tty", options->guest.tty, "Give the command a terminal");
  sub->callback([options, &context, &action] { action = [options, &context] { return ssh(*options, context); }; });
}

}  // namespace

void add_agent_shells(CLI::App& group, Context& context, Action& action) {
  add_exec(group, context, action);
  add_ssh(group, context, action);
}

}  // namespace fireclaw::cli
