#include <cstdio>
#include <memory>
#include <utility>

#include <fmt/format.h>

#include "command.hpp"
#include "common/quantities.hpp"
#include "guest_command.hpp"
#include "json_of.hpp"
#include "machine_options.hpp"
#include "network_options.hpp"
#include "output.hpp"

namespace fireclaw::cli {
namespace {

struct CopySpec {
  std::string source;
  std::string target;
};

struct RunOptions {
  VMConfig machine;
  NetworkOptions network;
  GuestCommand guest;
  std::vector<std::string> copy_in;
  std::vector<std::string> copy_out;
  bool no_snapshot = false;
};

CopySpec parse_copy(const std::string& text, std::string_view option) {
  const auto colon = text.rfind(':');
  if (colon == std::string::npos || colon == 0 || colon + 1 == text.size()) {
    throw Error{ErrorCode::InvalidArgument, fmt::format("{} '{}': use SRC:DST", option, text)};
  }
  return {text.substr(0, colon), text.substr(colon + 1)};
}

void print_phases(const VMInfo& info, std::chrono::nanoseconds opened, const ExecResult& result,
                  std::chrono::nanoseconds total) {
  std::string text =
      fmt::format("fireclaw: VM {} ({}, {}); open {}", info.id, info.engine,
                  info.snapshot.empty() ? "cold boot" : "snapshot " + info.snapshot, human_duration(opened));
  for (const auto& phase : info.phases) text += fmt::format(", {} {}", phase.name, human_duration(phase.duration));
  text += fmt::format(", command {}, total {}\n", human_duration(result.duration), human_duration(total));
  std::fputs(text.c_str(), stderr);
}

void print_result(const VMInfo& info, const ExecResult& result, int status, std::chrono::nanoseconds total) {
  auto timings = cli::timings(info.phases);
  timings["command"] = to_ms(result.duration);
  timings["total"] = to_ms(total);
  auto out = to_json(result, status);
  out["vm"] = to_json(info);
  out["timings_ms"] = timings;
  print_json(out);
}

/// Found out before a machine is started. Which image a named snapshot is of, its machine will know.
void require_own_command(const Host& host, const VMConfig& machine) {
  if (!machine.snapshot.empty() || !Image::info(host, machine.image).command.empty()) return;
  throw Error{
      ErrorCode::InvalidArgument,
      fmt::format("no command was given, and the image '{}' has none; try: fireclaw run \"uname -a\"", machine.image)};
}

int run(RunOptions options, const Context& context) {
  const auto began = std::chrono::steady_clock::now();
  const auto exec = make_exec(options.guest, context);
  options.machine.stop = context.stop;
  if (options.no_snapshot) options.machine.start = StartMode::Cold;
  std::vector<CopySpec> copies_in;
  std::vector<CopySpec> copies_out;
  for (const auto& text : options.copy_in) copies_in.push_back(parse_copy(text, "--copy-in"));
  for (const auto& text : options.copy_out) copies_out.push_back(parse_copy(text, "--copy-out"));

  const auto host = context.open_host();
  if (exec.argv.empty()) require_own_command(host, options.machine);
  options.network.apply(options.machine, host, context);
  const auto opened = std::chrono::steady_clock::now() - began;
  auto vm = VM::create(host, options.machine);
  options.network.tell_what_is_missing();
  vm.start();
  for (const auto& copy : copies_in) vm.copy_in(copy.source, copy.target, context.stop);
  const auto result = wait_for(vm.spawn(exec), options.guest);
  for (const auto& copy : copies_out) vm.copy_out(copy.source, copy.target, context.stop);
  const auto info = vm.info();
  vm.kill();

  const auto total = std::chrono::steady_clock::now() - began;
  const int status = status_of(result, context);
  if (context.json) print_result(info, result, status, total);
  if (context.verbose) print_phases(info, opened, result, total);
  if (result.timed_out && !context.json) {
    std::fputs(fmt::format("fireclaw: the command was ended after {}; give it longer with --timeout\n",
                           human_duration(parse_duration(options.guest.timeout)))
                   .c_str(),
               stderr);
  }
  return status;
}

}  // namespace

void add_run(CLI::App& app, Context& context, Action& action) {
  auto options = std::make_shared<RunOptions>();
  options->guest.timeout = "60";
  auto* command = app.add_subcommand("run", "Run a command in a fresh microVM");
  command->footer(
      "One argument is a shell line; after -- come a program and its arguments; without either, an OCI image's own\n"
      "command runs. Output streams as it appears, and standard input is passed on unless it is a terminal.\n"
      "With --json one object comes at the end: status, stdout, stderr, the machine, timings. Output that is not "
      "UTF-8\n"
      "stands there byte for byte as stdout_base64 and stderr_base64 as well.\n\n"
      "Exit status:\n"
      "  124  The command was ended after --timeout.\n"
      "  125  fireclaw itself failed.\n"
      "  126  The command could not be run; 127: was not found.\n"
      "  other  The command's own.\n"
      "\n"
      "Examples:\n"
      "  fireclaw run \"uname -a\"\n"
      "  fireclaw run -- ls -l /\n"
      "  echo 6*7 | fireclaw run bc\n"
      "  fireclaw run --copy-in ./src:/src -w /src \"sh build.sh\" --copy-out /src/out:./out\n"
      "  fireclaw run -i --tty sh\n"
      "  fireclaw run -p 8080:80 --allow example.org:443 \"httpd -f -h /srv\"");
  command->add_option("command", options->guest.command, "Shell line, or (after --) program and arguments")
      ->type_name("COMMAND");
  auto* timeout =
      command
          ->add_option("-t,--timeout", options->guest.timeout,
                       "End the command after this long; 0: never, which is the default with --tty and --interactive")
          ->type_name("TIME")
          ->capture_default_str();
  command->add_flag("-v,--verbose", context.verbose, "Show each phase with its milliseconds, and what is logged");
  command->add_flag("--no-snapshot", options->no_snapshot, "Boot cold");
  command->add_option("--snapshot", options->machine.snapshot, "Restore this snapshot")->type_name("SNAPSHOT");
  add_machine_options(*command, options->machine);
  options->network.add_all_to(*command);
  add_guest_command_options(*command, options->guest);
  command->add_option("--copy-in", options->copy_in, "Copy a file or folder into the guest before")
      ->type_name("SRC:DST")
      ->allow_extra_args(false);
  command->add_option("--copy-out", options->copy_out, "Copy a file or folder from the guest after")
      ->type_name("SRC:DST")
      ->allow_extra_args(false);
  add_json(*command, context);
  command->callback([options, timeout, &context, &action] {
    // Nobody's session at a terminal is to end after a minute.
    if (timeout->count() == 0 && (options->guest.tty || options->guest.interactive)) options->guest.timeout = "0";
    action = [options, &context] { return run(*options, context); };
  });
}

}  // namespace fireclaw::cli
