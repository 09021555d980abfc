#include <cstdio>
#include <memory>

#include <fmt/format.h>

#include "command.hpp"
#include "common/quantities.hpp"
#include "json_of.hpp"
#include "output.hpp"

namespace fireclaw::cli {
namespace {

int list(const Context& context) {
  const auto machines = VM::list(context.open_host());
  if (context.json) {
    Json out = Json::array();
    for (const auto& machine : machines) out.push_back(to_json(machine));
    print_json(out);
    return 0;
  }
  Table table{{"ID", "STATE", "IMAGE", "ENGINE", "CPUS", "MEMORY", "NET", "ADDRESS", "PID", "CREATED", "HOSTNAME",
               "WORKSPACE", "AGENT"}};
  for (const auto& m : machines) {
    table.add({m.id, std::string{to_string(m.state)}, m.image, m.engine, std::to_string(m.cpus),
               fmt::format("{} MiB", m.memory_mib), std::string{to_string(m.network)}, m.address,
               std::to_string(m.engine_pid), iso_time(m.created), m.hostname, m.workspace, m.agent});
  }
  table.print();
  return 0;
}

int collect(const Context& context) {
  const auto report = context.open_host().collect_garbage();
  if (context.json) {
    print_json(to_json(report));
    return 0;
  }
  for (const auto& id : report.ended) std::puts(fmt::format("ended VM {}", id).c_str());
  for (const auto& path : report.removed) std::puts(fmt::format("removed {}", path.native()).c_str());
  for (const auto& address : report.addresses) std::puts(fmt::format("took back {}", address).c_str());
  if (report.ended.empty() && report.removed.empty() && report.addresses.empty()) std::puts("nothing to clean up");
  return 0;
}

}  // namespace

void add_vm(CLI::App& app, Context& context, Action& action) {
  auto* group = app.add_subcommand("vm", "List and end machines");
  group->require_subcommand(1);
  group->footer(
      "Examples:\n"
      "  fireclaw vm list\n"
      "  fireclaw vm kill 0123456789abcdef");
  auto* list_command = group->add_subcommand("list", "List machines");
  list_command->footer(
      "On a terminal columns with nothing in them are left out.\n\n"
      "Examples:\n"
      "  fireclaw vm list\n"
      "  fireclaw vm list --json");
  add_json(*list_command, context);
  list_command->callback([&context, &action] { action = [&context] { return list(context); }; });
  auto ids = std::make_shared<std::vector<std::string>>();
  auto* kill_command = group->add_subcommand("kill", "End machines at once");
  kill_command->add_option("id", *ids, "Which (see: fireclaw vm list)")->required()->type_name("VM");
  kill_command->footer(
      "What they have written is gone, but for workspaces, whose file systems are checked before they are used again. "
      "Agents are ended in order with: fireclaw agent stop.\n\n"
      "Examples:\n"
      "  fireclaw vm kill 0123456789abcdef");
  add_json(*kill_command, context);
  kill_command->callback([ids, &context, &action] {
    action = [ids, &context] {
      const auto host = context.open_host();
      for (const auto& id : *ids) VM::kill(host, id);
      if (context.json) print_json({{"ended", *ids}});
      return 0;
    };
  });
}

void add_gc(CLI::App& app, Context& context, Action& action) {
  auto* command = app.add_subcommand("gc", "End machines whose owner is gone and remove leftovers");
  command->footer(
      "Needed only after fireclaw was killed or the machine crashed; what is in use is left alone. Agents are\n"
      "not leftovers.\n\n"
      "Examples:\n"
      "  fireclaw gc");
  add_json(*command, context);
  command->callback([&context, &action] { action = [&context] { return collect(context); }; });
}

}  // namespace fireclaw::cli
