#include <cstdio>
#include <memory>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "common/json_of.hpp"
#include "common/text/quantities.hpp"
#include "output.hpp"
#include "vm/machines.hpp"

namespace fireclaw::cli {
namespace {

struct ListOptions {
  bool quiet = false;
  /// As elsewhere; without it they are listed as well.
  bool all = false;
};

int list(bool quiet, const Context& context) {
  const auto machines = Machines{context}.all();
  if (context.json) {
    Json out = Json::array();
    for (const auto& [name, vm] : machines) {
      auto one = to_json(vm);
      one["name"] = name;
      out.push_back(std::move(one));
    }
    return print_json(out);
  }
  if (quiet) {
    for (const auto& [name, vm] : machines) std::puts((name.empty() ? vm.id : name).c_str());
    return 0;
  }
  Table table{{"NAME", "ID", "STATE", "IMAGE", "ENGINE", "CPUS", "MEMORY", "NET", "ADDRESS", "PID", "CREATED",
               "HOSTNAME", "WORKSPACE", "AGENT"}};
  for (const auto& [name, m] : machines) {
    table.add({name, m.id, std::string{to_string(m.state)}, m.image, m.engine, std::to_string(m.cpus),
               fmt::format("{} MiB", m.memory_mib), std::string{to_string(m.network)}, m.address,
               m.engine_pid == 0 ? "" : std::to_string(m.engine_pid), iso_time(m.created), m.hostname, m.workspace,
               m.agent});
  }
  table.print();
  return 0;
}

int inspect(const std::string& word, const Context& context) {
  Machines machines{context};
  const auto which = machines.meant_by(word);
  const auto name = machines.name_of(which);
  if (!name.empty()) {
    print_json(to_json(machines.manager().info(name)));
  } else {
    for (const auto& one : machines.all()) {
      if (one.vm.id == which) print_json(to_json(one.vm));
    }
  }
  return 0;
}

int collect(const Context& context) {
  const auto report = context.open_host().collect_garbage();
  if (context.json) return print_json(to_json(report));
  for (const auto& id : report.ended) std::puts(fmt::format("ended VM {}", id).c_str());
  for (const auto& path : report.removed) std::puts(fmt::format("removed {}", path.native()).c_str());
  for (const auto& address : report.addresses) std::puts(fmt::format("took back {}", address).c_str());
  if (report.ended.empty() && report.removed.empty() && report.addresses.empty()) std::puts("nothing to clean up");
  return 0;
}

void add_list(CLI::App& command, Context& context, Action& action) {
  const auto options = std::make_shared<ListOptions>();
  command.add_flag("-q,--quiet", options->quiet, "Only names, or ids of those without one");
  command.add_flag("-a,--all", options->all, "Include stopped ones, which is the default");
  add_json(command, context);
  command.callback(
      [options, &context, &action] { action = [options, &context] { return list(options->quiet, context); }; });
}

}  // namespace

void add_vm_list(CLI::App& group, Context& context, Action& action) {
  auto* list_command = group.add_subcommand("list", "List machines");
  list_command->alias("ls");
  list_command->footer(
      "Machines with names are listed even if they are stopped. On a terminal, empty columns are left out.\n\n"
      "Examples:\n"
      "  fireclaw vm list\n"
      "  fireclaw vm list --json\n"
      "  fireclaw vm list -q | xargs -r fireclaw vm rm -f");
  add_list(*list_command, context, action);

  auto name = std::make_shared<std::string>();
  auto* inspect_command = group.add_subcommand("inspect", "Show all that is known of a machine, as JSON");
  inspect_command->footer(
      "Examples:\n"
      "  fireclaw vm inspect dev");
  inspect_command->add_option("name", *name, "Machine name or id")->required()->type_name("VM");
  add_json(*inspect_command, context);
  set_action(*inspect_command, context, action, inspect, name);
}

void add_vm(CLI::App& app, Context& context, Action& action) {
  auto* group = app.add_subcommand("vm", "Make, use and end machines");
  group->require_subcommand(1);
  group->footer(
      "A machine with a name runs by itself and can be stopped and started again. Machines that a program holds "
      "(fireclaw run, the library) have only an id.\n\n"
      "Examples:\n"
      "  fireclaw vm create dev\n"
      "  fireclaw vm shell dev\n"
      "  fireclaw vm list\n"
      "  fireclaw vm remove --force dev");
  add_vm_create(*group, context, action);
  add_vm_list(*group, context, action);
  add_vm_exec(*group, context, action);
  add_vm_jobs(*group, context, action);
  add_vm_stats(*group, context, action);
  add_vm_copy(*group, context, action);
  add_vm_life(*group, context, action);
}

void add_ps(CLI::App& app, Context& context, Action& action) {
  auto* command = app.add_subcommand("ps", "List machines: fireclaw vm list");
  command->footer(
      "Examples:\n"
      "  fireclaw ps\n"
      "  fireclaw ps -q");
  add_list(*command, context, action);
}

void add_gc(CLI::App& app, Context& context, Action& action) {
  auto* command = app.add_subcommand("gc", "End machines whose owner is gone and remove leftovers");
  command->footer(
      "Needed only after fireclaw was killed or this host crashed. What is in use is left alone, and so are "
      "agents.\n\n"
      "Examples:\n"
      "  fireclaw gc");
  add_json(*command, context);
  set_action(*command, context, action, collect);
}

}  // namespace fireclaw::cli
