#include <cstdio>
#include <memory>

#include <fmt/format.h>

#include "common/json_of.hpp"
#include "common/text/quantities.hpp"
#include "common/text/style.hpp"
#include "machine_options.hpp"
#include "network_options.hpp"
#include "output.hpp"
#include "vm/machines.hpp"

// fireclaw vm create, start, fork: what begins a machine's life.

namespace fireclaw::cli {
namespace {

struct CreateOptions {
  MachineConfig config;
  NetworkOptions network;
  std::string ttl = "0";
  std::string idle = "0";
  bool no_snapshot = false;
};

Json started(const MachineInfo& info) {
  auto out = to_json(info);
  out["timings_ms"] = timings(info.phases);
  return out;
}

int print_started(const MachineInfo& info, const Context& context) {
  if (context.json) return print_json(started(info));
  auto text = fmt::format("{}: {}, VM {}", info.name, to_string(info.state), info.id);
  if (!info.address.empty()) text += fmt::format(", {}", info.address);
  std::puts(printable(text).c_str());
  if (!context.verbose) return 0;
  std::string times = "fireclaw:";
  for (const auto& phase : info.phases) times += fmt::format(" {} {}", phase.name, human_duration(phase.duration));
  std::fputs((times + "\n").c_str(), stderr);
  return 0;
}

int create(CreateOptions options, const Context& context) {
  auto& machine = options.config.machine;
  options.config.ttl = parse_duration(options.ttl);
  options.config.idle = parse_duration(options.idle);
  if (options.no_snapshot) machine.start = StartMode::Cold;
  Machines machines{context};
  options.network.apply(machine, machines.host(), context);
  const auto info = machines.manager().create(options.config, {.stop = context.stop});
  options.network.tell_what_is_missing();
  return print_started(info, context);
}

void add_create(CLI::App& group, Context& context, Action& action) {
  auto options = std::make_shared<CreateOptions>();
  auto* command = group.add_subcommand("create", "Make a machine with a name and start it");
  command->footer(
      "It runs until it is stopped or removed, also when fireclaw has ended. Its root file system is in memory and "
      "new at each start; keep files on a --scratch disk (mounted at /scratch) or in a --workspace (at "
      "/workspace).\n\n"
      "Examples:\n"
      "  fireclaw vm create dev\n"
      "  fireclaw vm create web --image py --memory 512 -p 8080:80 --scratch 2G\n"
      "  fireclaw vm create try --ttl 2h --idle 10m");
  command->add_option("name", options->config.name, "1 to 63 letters, digits and inner hyphens")
      ->required()
      ->type_name("NAME");
  add_machine_options(*command, options->config.machine);
  add_disk_options(*command, options->config.machine);
  options->network.add_all_to(*command);
  command->add_option("--snapshot", options->config.machine.snapshot, "Restore this snapshot at each start")
      ->type_name("SNAPSHOT");
  command->add_flag("--no-snapshot", options->no_snapshot, "Boot at each start, instead of restoring a snapshot");
  command->add_option("--hostname", options->config.machine.hostname, "Host name; default: the machine's name")
      ->type_name("NAME");
  command->add_option("--ttl", options->ttl, "Stop it this long after each start; 0: never")
      ->type_name("TIME")
      ->capture_default_str();
  command
      ->add_option("--idle", options->idle, "Pause it after this long without use; the next use resumes it. 0: never")
      ->type_name("TIME")
      ->capture_default_str();
  command->add_flag("-v,--verbose", context.verbose, "Show how long each part took, and what is logged");
  add_json(*command, context);
  set_action(*command, context, action, create, options);
}

int start(const std::vector<std::string>& names, const Context& context) {
  Machines machines{context};
  const bool as_list = context.json && names.size() > 1;
  Json list = Json::array();
  const int status = for_each_of(names, [&](const std::string& name) {
    const auto info = machines.manager().start(name, {.stop = context.stop});
    if (as_list) {
      list.push_back(started(info));
    } else {
      print_started(info, context);
    }
  });
  if (as_list) print_json(list);
  return status;
}

void add_start(CLI::App& group, Context& context, Action& action) {
  auto names = std::make_shared<std::vector<std::string>>();
  auto* command = group.add_subcommand("start", "Start stopped machines, and resume paused ones");
  command->footer(
      "A stopped machine has its scratch disk and workspace again, but not its memory.\n\n"
      "Examples:\n"
      "  fireclaw vm start dev");
  command->add_option("name", *names, "Machine names")->required()->type_name("MACHINE");
  command->add_flag("-v,--verbose", context.verbose, "Show how long each part took, and what is logged");
  add_json(*command, context);
  set_action(*command, context, action, start, names);
}

struct ForkOptions {
  std::string name;
  std::string new_name;
};

int fork(const ForkOptions& options, const Context& context) {
  Machines machines{context};
  return print_started(machines.manager().fork(options.name, options.new_name, {.stop = context.stop}), context);
}

void add_fork(CLI::App& group, Context& context, Action& action) {
  auto options = std::make_shared<ForkOptions>();
  auto* command = group.add_subcommand("fork", "Start a second machine from a running one");
  command->footer(
      "It has the first one's memory, detached commands and scratch disk, and its own name and address. Ports are not "
      "published for it. The first one is paused for a moment; commands that are attached to it end.\n\n"
      "Examples:\n"
      "  fireclaw vm fork dev dev2");
  command->add_option("name", options->name, "The running machine")->required()->type_name("MACHINE");
  command->add_option("new", options->new_name, "The new machine's name")->required()->type_name("NAME");
  command->add_flag("-v,--verbose", context.verbose, "Show how long each part took, and what is logged");
  add_json(*command, context);
  set_action(*command, context, action, fork, options);
}

}  // namespace

void add_vm_create(CLI::App& group, Context& context, Action& action) {
  add_create(group, context, action);
  add_start(group, context, action);
  add_fork(group, context, action);
}

}  // namespace fireclaw::cli
