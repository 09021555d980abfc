#include <algorithm>
#include <cstdio>
#include <memory>

#include <fmt/format.h>

#include "command.hpp"
#include "common/json_of.hpp"
#include "common/text/quantities.hpp"
#include "machine_options.hpp"
#include "moving.hpp"
#include "network_options.hpp"
#include "output.hpp"

namespace fireclaw::cli {
namespace {

struct CreateOptions {
  VMConfig machine;
  NetworkOptions network;
  std::string name;
  std::string of;
  bool replace = false;
};

/// What was not said again is as in the snapshot that is replaced.
void keep_what_was(CreateOptions& options, const Host& host, const CLI::App& command) {
  if (!options.replace || options.name.empty() || !options.of.empty()) return;
  const auto known = host.snapshots().list();
  const auto before = std::ranges::find(known, options.name, &SnapshotInfo::name);
  if (before == known.end() || before->image.empty()) return;
  if (!before->agent.empty()) {
    throw Error{ErrorCode::InvalidArgument,
                fmt::format("snapshot '{}' is of an agent; save it again with: fireclaw agent snapshot {} {} --replace",
                            options.name, before->agent, options.name)};
  }
  if (command.count("--image") == 0) options.machine.image = before->image;
  if (command.count("--cpus") == 0) options.machine.cpus = before->cpus;
  if (command.count("--memory") == 0) options.machine.memory_mib = before->memory_mib;
  if (command.count("--net") == 0 && !before->network_device) options.network.choose("none");
}

/// An agent's snapshot has its disks and settings as well.
void refuse_agent(const CreateOptions& options, const Host& host) {
  const auto agents = host.agents().list();
  const auto agent = std::ranges::find_if(
      agents, [&](const AgentInfo& info) { return info.name == options.of || info.vm == options.of; });
  const auto machines = host.machines().list();
  if (agent == agents.end() || std::ranges::find(machines, options.of, &MachineInfo::name) != machines.end()) return;
  throw Error{ErrorCode::InvalidArgument, fmt::format("'{}' is an agent; save it with: fireclaw agent snapshot {} {}",
                                                      options.of, agent->name, options.name)};
}

int create(CreateOptions options, const Context& context, const CLI::App& command) {
  const auto host = context.open_host();
  keep_what_was(options, host, command);
  options.network.apply(options.machine, host, context);
  if (!options.of.empty() && options.name.empty()) {
    throw Error{ErrorCode::InvalidArgument, "--of needs a name for the snapshot"};
  }
  if (!options.of.empty()) refuse_agent(options, host);
  const auto snapshot = options.of.empty() ? host.snapshots().create(options.machine, options.name, options.replace,
                                                                     {.stop = context.stop})
                                           : host.vms().attach(options.of).snapshot(options.name);
  if (context.json) return print_json(to_json(snapshot.info()));
  std::puts(fmt::format("snapshot {}: image {}, {}, {}", snapshot.name(), snapshot.info().image, snapshot.info().engine,
                        human_bytes(snapshot.info().bytes))
                .c_str());
  return 0;
}

int list(const Context& context) {
  const auto snapshots = context.open_host().snapshots().list();
  if (context.json) return print_json(to_json(snapshots));
  Table table{{"NAME", "IMAGE", "ENGINE", "CPUS", "MEMORY", "NET", "AGENT", "SIZE", "CREATED", "USABLE"}};
  for (const auto& s : snapshots) {
    table.add({s.name, s.image, s.engine, std::to_string(s.cpus), fmt::format("{} MiB", s.memory_mib),
               s.network_device ? "yes" : "no", s.agent, human_bytes(s.bytes), iso_time(s.created),
               s.usable ? "yes" : "no: " + s.reason});
  }
  table.print();
  return 0;
}

int remove(const std::vector<std::string>& names, const Context& context) {
  const auto host = context.open_host();
  return for_each_of(names, "removed", context.json, [&](const std::string& name) { host.snapshots().remove(name); });
}

}  // namespace

void add_snapshot(CLI::App& app, Context& context, Action& action) {
  auto* group = app.add_subcommand("snapshot", "Create, list, move and remove snapshots");
  group->require_subcommand(1);
  group->footer(
      "Examples:\n"
      "  fireclaw snapshot create --image py\n"
      "  fireclaw snapshot list\n"
      "  fireclaw snapshot remove before-upgrade");

  auto options = std::make_shared<CreateOptions>();
  auto* create_command = group->add_subcommand("create", "Boot a machine and save it, or save a running one");
  create_command->footer(
      "--of saves a running machine. An agent's machine has disks; save that with: fireclaw agent snapshot\n\n"
      "Without a name, 'fireclaw run' finds the snapshot for the same image and machine. Of the network, a snapshot "
      "keeps only whether there is a device; each restore decides what that is connected to.\n\n"
      "Examples:\n"
      "  fireclaw snapshot create --memory 512 --net nat\n"
      "  fireclaw snapshot create before-upgrade --of 0123456789abcdef");
  create_command->add_option("name", options->name, "Snapshot name; default: made from the image or the machine")
      ->type_name("NAME");
  create_command->add_option("--of", options->of, "Save this running machine")->type_name("VM");
  add_machine_options(*create_command, options->machine);
  options->network.add_mode_to(*create_command);
  create_command->add_flag("--replace", options->replace,
                           "Replace a snapshot of that name; image, size and network stay unless given");
  add_json(*create_command, context);
  create_command->callback([options, create_command, &context, &action] {
    action = [options, create_command, &context] { return create(*options, context, *create_command); };
  });

  auto* list_command = group->add_subcommand("list", "List snapshots, and whether they can be used here and now");
  list_command->alias("ls");
  list_command->footer(
      "Examples:\n"
      "  fireclaw snapshot list\n"
      "  fireclaw snapshot list --json");
  add_json(*list_command, context);
  set_action(*list_command, context, action, list);

  auto names = std::make_shared<std::vector<std::string>>();
  auto* remove_command = group->add_subcommand("remove", "Remove snapshots; machines restored from them continue");
  remove_command->alias("rm");
  remove_command->footer(
      "Examples:\n"
      "  fireclaw snapshot remove before-upgrade");
  remove_command->add_option("name", *names, "Snapshot name")->required()->type_name("SNAPSHOT");
  add_json(*remove_command, context);
  set_action(*remove_command, context, action, remove, names);
  add_snapshot_moves(*group, context, action);
}

}  // namespace fireclaw::cli
