#include <cstdio>
#include <memory>

#include <fmt/format.h>

#include "command.hpp"
#include "common/quantities.hpp"
#include "machine_options.hpp"
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
  bool json = false;
};

int create(CreateOptions options, const Context& context) {
  const auto host = context.open_host();
  options.network.apply(options.machine, host, context);
  options.machine.stop = context.stop;
  if (!options.of.empty() && options.name.empty()) {
    throw Error{ErrorCode::InvalidArgument, "--of needs a name for the snapshot"};
  }
  const auto snapshot = options.of.empty() ? Snapshot::create(host, options.machine, options.name, options.replace)
                                           : VM::attach(host, options.of).snapshot(options.name);
  if (options.json) {
    print_json(to_json(snapshot.info()));
  } else {
    std::puts(fmt::format("snapshot {}: image {}, {}, {}", snapshot.name(), snapshot.info().image,
                          snapshot.info().engine, human_bytes(snapshot.info().bytes))
                  .c_str());
  }
  return 0;
}

int list(bool json, const Context& context) {
  const auto snapshots = Snapshot::list(context.open_host());
  if (json) {
    Json out = Json::array();
    for (const auto& snapshot : snapshots) out.push_back(to_json(snapshot));
    print_json(out);
    return 0;
  }
  Table table{{"NAME", "IMAGE", "ENGINE", "CPUS", "MEMORY", "NET", "AGENT", "SIZE", "CREATED", "USABLE"}};
  for (const auto& s : snapshots) {
    table.add({s.name, s.image, s.engine, std::to_string(s.cpus), fmt::format("{} MiB", s.memory_mib),
               s.network_device ? "yes" : "no", s.agent, human_bytes(s.bytes), iso_time(s.created),
               s.usable ? "yes" : "no: " + s.reason});
  }
  table.print();
  return 0;
}

}  // namespace

void add_snapshot(CLI::App& app, Context& context, Action& action) {
  auto* group = app.add_subcommand("snapshot", "Create, list and remove snapshots");
  group->require_subcommand(1);

  auto options = std::make_shared<CreateOptions>();
  auto* create_command = group->add_subcommand("create", "Boot a machine and save it, or save a running one");
  create_command->footer(
      "Without a name it is the one that 'fireclaw run' finds for the same image and machine. Of the network it keeps\n"
      "only whether there is a device: what that leads to is decided at each restore.\n\n"
      "Examples:\n"
      "  fireclaw snapshot create --memory 512 --net nat\n"
      "  fireclaw snapshot create before-upgrade --of 0123456789abcdef");
  create_command->add_option("name", options->name, "The snapshot's name");
  create_command->add_option("--of", options->of, "Save this running machine")->type_name("VM");
  add_machine_options(*create_command, options->machine);
  options->network.add_mode_to(*create_command);
  create_command->add_flag("--replace", options->replace, "Replace a snapshot of that name");
  create_command->add_flag("--json", options->json, "Print JSON");
  create_command->callback(
      [options, &context, &action] { action = [options, &context] { return create(*options, context); }; });

  auto json = std::make_shared<bool>(false);
  auto* list_command = group->add_subcommand("list", "List snapshots");
  list_command->add_flag("--json", *json, "Print JSON");
  list_command->callback([json, &context, &action] { action = [json, &context] { return list(*json, context); }; });

  auto name = std::make_shared<std::string>();
  auto* remove_command = group->add_subcommand("remove", "Remove a snapshot; machines restored from it live on");
  remove_command->add_option("name", *name, "The snapshot's name")->required();
  remove_command->callback([name, &context, &action] {
    action = [name, &context] {
      Snapshot::remove(context.open_host(), *name);
      return 0;
    };
  });
}

}  // namespace fireclaw::cli
