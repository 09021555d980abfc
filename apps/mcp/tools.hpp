#pragma once

#include "machines.hpp"
#include "policy.hpp"
#include "snapshots.hpp"
#include "tool.hpp"

namespace fireclaw::mcp {

/// What the tools work with. It must outlive them.
struct ToolContext {
  Backend& backend;
  Machines& machines;
  Snapshots& snapshots;
  const Policy& policy;
};

void add_command_tools(Toolbox& tools, const ToolContext& context);
void add_machine_tools(Toolbox& tools, const ToolContext& context);
void add_file_tools(Toolbox& tools, const ToolContext& context);
void add_snapshot_tools(Toolbox& tools, const ToolContext& context);

/// All of them.
Toolbox make_tools(const ToolContext& context);

/// A machine's name, as an argument.
Json machine_name_schema();
/// The arguments that say what a machine is made of, and the machine that they ask for.
Json machine_arguments(const Policy& policy);
VMConfig machine_from(const Json& arguments, const Policy& policy);
/// What a tool tells of a machine, and its schema.
Json describe(const NamedMachine& machine);
Json machine_schema();

}  // namespace fireclaw::mcp
