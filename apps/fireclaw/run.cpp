#include <cstdio>
#include <memory>
#include <optional>
#include <random>
#include <utility>

#include <fmt/format.h>

#include "command.hpp"
#include "common/failure.hpp"
#include "common/json_of.hpp"
#include "common/text/quantities.hpp"
#include "copies.hpp"
#include "guest_command.hpp"
#include "image_choice.hpp"
#include "machine_options.hpp"
#include "network_options.hpp"
#include "output.hpp"
#include "vm/detached.hpp"

namespace fireclaw::cli {
namespace {

constexpr const char* default_timeout = "60";

struct RunOptions {
  VMConfig machine;
  NetworkOptions network;
  GuestCommand guest;
  ImageChoice image;
  RunCopies copies;
  bool no_snapshot = false;
  std::string name;
  bool detach = false;
};

/// What the guest says of where its time went; empty if it cannot be asked any more.
std::vector<Phase> guest_phases(VM& vm) {
  try {
    return vm.guest_phases();
  } catch (const Error&) {
    return {};
  }
}

void print_phases(const VMInfo& info, const std::vector<Phase>& guest, std::chrono::nanoseconds opened,
                  const ExecResult& result, std::chrono::nanoseconds total) {
  std::string text =
      fmt::format("fireclaw: VM {} ({}, {}); open {}", info.id, info.engine,
                  info.snapshot.empty() ? "cold boot" : "snapshot " + info.snapshot, human_duration(opened));
  for (const auto& phase : info.phases) text += fmt::format(", {} {}", phase.name, human_duration(phase.duration));
  text += fmt::format(", command {}, total {}\n", human_duration(result.duration), human_duration(total));
  const char* before = "fireclaw: in the guest: ";
  for (const auto& phase : guest) {
    text += fmt::format("{}{} {}", std::exchange(before, ", "), phase.name, human_duration(phase.duration));
  }
  if (!guest.empty()) text += '\n';
  std::fputs(text.c_str(), stderr);
}

void print_result(const VMInfo& info, const ExecResult& result, const RunCopies& copies, int status,
                  std::chrono::nanoseconds total) {
  auto timings = cli::timings(info.phases);
  timings["command"] = to_ms(result.duration);
  timings["total"] = to_ms(total);
  auto out = to_json(result, status);
  if (!copies.report().empty()) out["copies"] = copies.report();
  out["vm"] = to_json(info);
  out["timings_ms"] = timings;
  print_json(out);
}

int run(RunOptions options, const Context& context) {
  const auto began = std::chrono::steady_clock::now();
  options.image.take_reference(options.guest, context);
  auto exec = make_exec(options.guest, context);
  if (options.no_snapshot) options.machine.start = StartMode::Cold;
  options.copies.prepare(exec.user, exec.timeout, context.stop);

  const auto host = context.open_host();
  options.image.pull(host, options.machine, context);
  options.image.complete(host, options.machine, options.guest, context, exec);
  options.network.apply(options.machine, host, context);
  const auto opened = std::chrono::steady_clock::now() - began;
  std::optional vm_owner{host.vms().create(options.machine, {.stop = context.stop})};
  auto& vm = *vm_owner;
  options.network.tell_what_is_missing();
  vm.start();
  try {
    options.copies.copy_in(vm);
  } catch (const Error& problem) {
    if (problem.code() != ErrorCode::Timeout) throw;
    print_failure("fireclaw", to_string(problem.code()), problem.what(), context.json);
    return exit_timeout;
  }
  const auto result = wait_for(vm.spawn(exec), options.guest);
  options.copies.copy_out(vm);
  const auto info = vm.info();
  const auto ended = std::chrono::steady_clock::now();
  const auto guest = context.verbose ? guest_phases(vm) : std::vector<Phase>{};
  const auto asked = std::chrono::steady_clock::now() - ended;
  // Not kill(): nobody needs to wait for the engine's end.
  vm_owner.reset();

  const auto total = std::chrono::steady_clock::now() - began - asked;
  const int status = options.copies.status_after(status_of(result, context));
  if (context.json) print_result(info, result, options.copies, status, total);
  if (context.verbose) print_phases(info, guest, opened, result, total);
  if (result.timed_out && !context.json) {
    std::fputs(fmt::format("fireclaw: the command was ended after {}; give it longer with --timeout\n",
                           human_duration(parse_duration(options.guest.timeout)))
                   .c_str(),
               stderr);
  }
  return status;
}

/// Makes a machine that stays, with the command running in it by itself.
int run_detached(RunOptions options, const Context& context) {
  if (options.copies.has_copy_out()) {
    throw Error{ErrorCode::InvalidArgument, "--copy-out goes with a command that is waited for, not with --detach"};
  }
  options.image.take_reference(options.guest, context);
  auto exec = make_exec(options.guest, context);
  require_detachable(exec);
  options.copies.prepare(exec.user, exec.timeout, context.stop);
  const auto host = context.open_host();
  auto machines = host.machines();
  options.image.pull(host, options.machine, context);
  options.image.complete(host, options.machine, options.guest, context, exec);
  options.network.apply(options.machine, host, context);
  MachineConfig config;
  config.machine = options.machine;
  if (options.no_snapshot) config.machine.start = StartMode::Cold;
  config.name = options.name.empty() ? fmt::format("run-{}", std::random_device{}()) : options.name;
  static_cast<void>(machines.create(config, {.stop = context.stop}));
  options.network.tell_what_is_missing();
  std::string job;
  try {
    auto vm = host.vms().attach(config.name);
    options.copies.copy_in(vm);
    job = start_detached(vm, exec);
  } catch (...) {
    machines.remove(config.name, true);
    throw;
  }
  if (context.json) {
    print_json({{"name", config.name}, {"job", job}});
  } else {
    std::puts(config.name.c_str());
  }
  return 0;
}

}  // namespace

void add_run(CLI::App& app, Context& context, Action& action) {
  auto options = std::make_shared<RunOptions>();
  options->guest.timeout = default_timeout;
  auto* command = app.add_subcommand("run", "Run a command in a fresh microVM");
  command->footer(
      "One argument is a shell line. After -- come a program and its arguments; if an OCI image has an entrypoint, "
      "they are arguments for that. Without either, the OCI image's own command runs. Output streams as it appears. "
      "Standard input is passed on unless it is a terminal. With --json one object comes at the end: status, stdout, "
      "stderr, the machine, timings. Output that is not UTF-8 is also there byte for byte, as stdout_base64 and "
      "stderr_base64.\n\n"
      "Copies work as cp -a does: an existing folder receives what is copied, with SRC/. only its content. Holes stay "
      "holes. A copy out obeys the umask, follows no link at its target, and replaces a file only once the new one is "
      "complete. --timeout limits the copies before the command, and again those after it (to five seconds at least). "
      "A copy out that fails is reported; if the command failed too, the exit status is the command's.\n\n"
      "Exit status:\n"
      "  124  The command was ended after --timeout, or a copy was.\n"
      "  125  fireclaw itself failed, or a copy did.\n"
      "  126  The command could not be run; 127: it was not found.\n"
      "  other  The command's own.\n\n"
      "Examples:\n"
      "  fireclaw run \"uname -a\"\n"
      "  fireclaw run -- ls -l /\n"
      "  echo 6*7 | fireclaw run bc\n"
      "  fireclaw run --copy-in ./src:/src -w /src \"sh build.sh\" --copy-out /src/out:./out\n"
      "  fireclaw run -it sh\n"
      "  fireclaw run docker.io/library/alpine cat /etc/os-release\n"
      "  fireclaw run --detach --name web --image py \"python3 -m http.server\"\n"
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
  command->add_flag("--no-snapshot", options->no_snapshot, "Boot instead of restoring a snapshot");
  command->add_option("--snapshot", options->machine.snapshot, "Restore this snapshot")->type_name("SNAPSHOT");
  add_machine_options(*command, options->machine);
  options->image.add_to(*command);
  add_disk_options(*command, options->machine);
  options->network.add_all_to(*command);
  add_guest_command_options(*command, options->guest);
  command->add_flag("-d,--detach", options->detach,
                    "Run in the background, and print the machine's name (see: fireclaw vm)");
  command->add_option("--name", options->name, "The machine's name, with --detach; default: made up")
      ->type_name("NAME");
  options->copies.add_to(*command);
  add_json(*command, context);
  command->callback([options, timeout, &context, &action] {
    // Nobody's session at a terminal is to end after a minute.
    if (timeout->count() == 0 && (options->guest.tty || options->guest.interactive || options->detach)) {
      options->guest.timeout = "0";
    }
    action = [options, &context] {
      if (!options->detach && !options->name.empty()) {
        throw Error{ErrorCode::InvalidArgument, "--name goes with --detach; or use: fireclaw vm create NAME"};
      }
      return options->detach ? run_detached(*options, context) : run(*options, context);
    };
  });
}

}  // namespace fireclaw::cli
