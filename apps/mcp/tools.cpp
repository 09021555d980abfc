#include "tools.hpp"

#include <string>

#include "common/quantities.hpp"
#include "schema.hpp"

namespace fireclaw::mcp {

Json machine_name_schema() {
  auto schema = text_schema("The machine's name, as create_machine and list_machines tell it.");
  schema["minLength"] = 1;
  return schema;
}

Json describe(const NamedMachine& machine) {
  const auto info = machine.machine->info();
  return {{"name", machine.name},          {"state", std::string{to_string(info.state)}},
          {"image", info.image},           {"cpus", info.cpus},
          {"memory_mib", info.memory_mib}, {"network", std::string{to_string(info.network)}},
          {"address", info.address},       {"created", cli::iso_time(info.created)}};
}

Json machine_schema() {
  return object_schema({{"name", text_schema("Names the machine in all other tools; it is its host name, too.")},
                        {"state", text_schema("running, paused or stopped.")},
                        {"image", text_schema("What it was made from.")},
                        {"cpus", {{"type", "integer"}}},
                        {"memory_mib", {{"type", "integer"}}},
                        {"network", text_schema("none, user or nat.")},
                        {"address", text_schema("Its IPv4 address with network nat, else empty.")},
                        {"created", text_schema("When, in UTC.")}},
                       {"name", "state", "image", "cpus", "memory_mib", "network", "address", "created"});
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
