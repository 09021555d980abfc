#include "tools.hpp"

#include <string>

#include "common/json_of.hpp"
#include "schema.hpp"

namespace fireclaw::mcp {

Json machine_name_schema() {
  auto schema = text_schema("The machine's name, as create_machine and list_machines tell it.");
  schema["minLength"] = 1;
  return schema;
}

Wish wish_from(const Json& arguments) {
  Wish wish;
  wish.name = arguments.value("name", "");
  wish.image = arguments.value("image", "");
  if (arguments.contains("cpus")) wish.cpus = arguments["cpus"].get<unsigned>();
  if (arguments.contains("memory_mib")) wish.memory_mib = arguments["memory_mib"].get<unsigned>();
  return wish;
}

Json describe(const NamedMachine& machine) {
  auto all = cli::to_json(machine.machine->info());
  all["name"] = machine.name;
  return members_in(machine_schema(), all);
}

Json machine_schema() {
  return object_schema({{"name", text_schema("Names the machine in all other tools; it is its host name, too.")},
                        {"state", text_schema("running, paused or stopped.")},
                        {"image", text_schema("What it was made from.")},
                        {"cpus", {{"type", "integer"}}},
                        {"memory_mib", {{"type", "integer"}}},
                        {"network", text_schema("none, user or nat.")},
                        {"address", text_schema("Its IPv4 address with network nat, else empty.")},
                        {"created", text_schema("When, in UTC.")}});
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
