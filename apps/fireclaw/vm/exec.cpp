#include <unistd.h>

#include <cstdio>
#include <memory>
#include <string>

#include "command.hpp"
#include "guest_command.hpp"
#include "output.hpp"
#include "vm/detached.hpp"
#include "vm/machines.hpp"

// fireclaw vm exec, shell.

namespace fireclaw::cli {
namespace {

struct ExecCommand {
  std::string name;
  GuestCommand guest;
  bool detach = false;
};

int detach(VM& vm, const ExecCommand& options, const Context& context) {
  const auto job = start_detached(vm, make_exec(options.guest, context));
  if (context.json) {
    print_json({{"job", job}});
  } else {
    std::puts(job.c_str());
  }
  return 0;
}

int execute(const ExecCommand& options, const Context& context) {
  const auto exec = make_exec(options.guest, context);
  const Machines machines{context};
  auto vm = machines.attach(options.name);
  if (options.detach) return detach(vm, options, context);
  const auto result = wait_for(vm.spawn(exec), options.guest);
  const int status = status_of(result, context);
  if (context.json) print_json(to_json(result, status));
  return status;
}

void add_exec(CLI::App& group, Context& context, Action& action) {
  auto options = std::make_shared<ExecCommand>();
  options->guest.timeout = "0";
  auto* command = group.add_subcommand("exec", "Run a command in a running machine");
  command->footer(
      "One word is a shell line; several are a program and its arguments. Options for fireclaw come before the "
      "command. A machine that was paused because nobody used it resumes.\n\n"
      "Exit status:\n"
      "  124  The command was ended after --timeout.\n"
      "  125  fireclaw itself failed.\n"
      "  126  The command could not be run; 127: it was not found.\n"
      "  other  The command's own.\n\n"
      "Examples:\n"
      "  fireclaw vm exec dev \"ls | wc -l\"\n"
      "  fireclaw vm exec dev ls -l /\n"
      "  fireclaw vm exec -it dev sh\n"
      "  fireclaw vm exec -d dev \"make > /tmp/log\"\n"
      "  echo 6*7 | fireclaw vm exec dev bc");
  command->add_option("name", options->name, "Machine name or id")->required()->type_name("VM");
  command->add_option("command", options->guest.command, "Shell line, or program and arguments")
      ->required()
      ->type_name("COMMAND");
  command->add_option("-t,--timeout", options->guest.timeout, "End the command after this long; 0: never")
      ->type_name("TIME")
      ->capture_default_str();
  add_guest_command_options(*command, options->guest);
  command->add_flag("-d,--detach", options->detach,
                    "Run it in the background, and print its name for 'vm ps', 'logs' and 'attach'");
  add_json(*command, context);
  set_action(*command, context, action, execute, options);
}

int shell(ExecCommand options, Context& context) {
  // bash, which people prefer, if the image has it.
  options.guest.command = {"/bin/sh", "-c", "command -v bash >/dev/null 2>&1 && exec bash -l; exec sh -l"};
  options.guest.timeout = "0";
  options.guest.interactive = true;
  options.guest.tty = ::isatty(STDIN_FILENO) == 1;
  context.argv_form = true;
  return execute(options, context);
}

void add_shell(CLI::App& group, Context& context, Action& action) {
  auto options = std::make_shared<ExecCommand>();
  auto* command = group.add_subcommand("shell", "Open a shell in a running machine");
  command->footer(
      "The shell is bash if the image has it, else sh. It has a terminal if fireclaw has one; from a pipe it reads "
      "commands.\n\n"
      "Examples:\n"
      "  fireclaw vm shell dev");
  command->add_option("name", options->name, "Machine name or id")->required()->type_name("VM");
  command->add_option("-u,--user", options->guest.user, "User name or uid[:gid] in the guest")->type_name("USER");
  command->add_option("-w,--workdir", options->guest.cwd, "Working directory in the guest")->type_name("DIR");
  add_json(*command, context);
  set_action(*command, context, action, shell, options);
}

}  // namespace

void add_vm_exec(CLI::App& group, Context& context, Action& action) {
  add_exec(group, context, action);
  add_shell(group, context, action);
}

}  // namespace fireclaw::cli
