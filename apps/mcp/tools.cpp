#include "tools.hpp"

#include <string>
#include <utility>

#include <fmt/format.h>

#include "common/json_of.hpp"
#include "members.hpp"
#include "schema.hpp"

namespace fireclaw::mcp {
namespace {

/// What machines reach, keep and share with the host is said on the server's command line.
constexpr auto of_machine =
    arguments_of<VMConfig>({"image", "cpus", "memory_mib"},
                           {"network", "nat", "start", "snapshot", "hostname", "detached", "workspace", "scratch_mib",
                            "scratch_target", "scratch_uid", "scratch_gid", "disk_mib_per_second"});

}  // namespace

Json machine_name_schema() {
  auto schema = text_schema("The machine's name, as create_machine and list_machines tell it.");
  schema["minLength"] = 1;
  return schema;
}

Json machine_arguments(const Policy& policy) {
  auto arguments = of_machine.schemas();
  arguments["cpus"]["maximum"] = policy.most_cpus;
  arguments["memory_mib"]["maximum"] = policy.most_memory_mib;
  add_to(arguments["image"], fmt::format(", see list_images; default: {}", policy.default_image()));
  add_to(arguments["cpus"], fmt::format("; default: {}", policy.cpus));
  add_to(arguments["memory_mib"], fmt::format("; default: {}, which starts fastest", policy.memory_mib));
  return arguments;
}

VMConfig machine_from(const Json& arguments, const Policy& policy) {
  auto config = policy.machine();
  of_machine.read(arguments, config);
  return config;
}

Json describe(const NamedMachine& machine) {
  auto all = cli::to_json(machine.machine->info());
  all["name"] = machine.name;
  return members_in(machine_schema(), all);
}

Json machine_schema() {
  Json schema{{"name", text_schema("Names the machine in all other tools; it is its host name, too.")}};
  schema.update(schemas_of<VMInfo>({"state", "image", "cpus", "memory_mib", "network", "address", "created"}));
  return object_schema(std::move(schema));
}

Toolbox make_tools(const ToolContext& context) {
  Toolbox tools;
  add_command_tools(tools, context);
  add_machine_tools(tools, context);
  add_file_tools(tools, context);
  add_snapshot_tools(tools, context);
  return tools;
}

}  // namespace fireclaw::mcp
