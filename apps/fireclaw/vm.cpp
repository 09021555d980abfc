#include <cstdio>
#include <memory>

#include <fmt/format.h>

#include "command.hpp"
#include "common/quantities.hpp"
#include "output.hpp"

namespace fireclaw::cli {
namespace {

int list(bool json, const Context& context) {
  const auto machines = VM::list(context.open_host());
  if (json) {
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

int collect(bool json, const Context& context) {
  const auto report = context.open_host().collect_garbage();
  if (json) {
    Json removed = Json::array();
    for (const auto& path : report.removed) removed.push_back(path.native());
    print_json({{"ended", report.ended}, {"removed", removed}, {"addresses", report.addresses}});
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
  auto json = std::make_shared<bool>(false);
  auto* list_command = group->add_subcommand("list", "List running machines");
  list_command->add_flag("--json", *json, "Print JSON");
  list_command->callback([json, &context, &action] { action = [json, &context] { return list(*json, context); }; });
  auto ids = std::make_shared<std::vector<std::string>>();
  auto* kill_command = group->add_subcommand("kill", "End machines at once");
  kill_command->add_option("id", *ids, "The machines' ids")->required();
  kill_command->callback([ids, &context, &action] {
    action = [ids, &context] {
      const auto host = context.open_host();
      for (const auto& id : *ids) VM::kill(host, id);
      return 0;
    };
  });
}

void add_gc(CLI::App& app, Context& context, Action& action) {
  auto json = std::make_shared<bool>(false);
  auto* command = app.add_subcommand("gc", "End machines whose owner is gone and remove leftovers");
  command->add_flag("--json", *json, "Print JSON");
  command->callback([json, &context, &action] { action = [json, &context] { return collect(*json, context); }; });
}

}  // namespace fireclaw::cli
