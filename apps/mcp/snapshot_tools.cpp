#include <string>
#include <utility>
#include <vector>

#include "common/json_of.hpp"
#include "members.hpp"
#include "schema.hpp"
#include "tools.hpp"

namespace fireclaw::mcp {
namespace {

constexpr int most_copies = 16;

Json snapshot_schema() {
  return object_schema(
      schemas_of<SnapshotInfo>({"name", "image", "cpus", "memory_mib", "bytes", "created", "usable", "reason"}));
}

Json describe(const SnapshotInfo& info) { return members_in(snapshot_schema(), cli::to_json(info)); }

Json snapshot_name_schema() {
  auto schema = text_schema("1 to 60 letters, digits, dots, underscores and hyphens.");
  schema["minLength"] = 1;
  schema["maxLength"] = 60;
  return schema;
}

Json machines_schema() { return object_schema({{"machines", list_schema("The new machines.", machine_schema())}}); }

Json list_snapshots(const ToolContext& context) {
  Json snapshots = Json::array();
  for (const auto& snapshot : context.snapshots.list()) snapshots.push_back(describe(snapshot));
  return {{"snapshots", std::move(snapshots)}};
}

Json fork_machine(const ToolContext& context, const Json& arguments, const CallContext& call) {
  // A name that is left out is made up.
  const auto names = arguments.value("names", std::vector<std::string>{""});
  Json machines = Json::array();
  for (const auto& machine : context.snapshots.fork(arguments["machine"], names, call.stop)) {
    machines.push_back(mcp::describe(machine));
  }
  return {{"machines", std::move(machines)}};
}

}  // namespace

void add_snapshot_tools(Toolbox& tools, const ToolContext& context) {
  tools.push_back(
      {.name = "save_snapshot",
       .title = "Save a machine's state",
       .description =
           "Saves a machine's memory and files under a name and lets it continue. Commands that run in it are "
           "ended first. Snapshots outlive machines and the connection.",
       .input = object_schema({{"machine", machine_name_schema()}, {"name", snapshot_name_schema()}}),
       .output = snapshot_schema(),
       .annotations = {},
       .run = [context](const Json& arguments, const CallContext&) {
         return describe(context.snapshots.save(arguments["machine"], arguments["name"]));
       }});
  tools.push_back(
      {.name = "restore_snapshot",
       .title = "Start a machine from a snapshot",
       .description =
           "Starts a machine that continues where the saved one was. Any number can be started from one snapshot.",
       .input =
           object_schema({{"snapshot", snapshot_name_schema()},
                          {"name", text_schema("Of the new machine: 1 to 63 letters, digits and hyphens; made up if "
                                               "it is left out.")}},
                         {"snapshot"}),
       .output = machine_schema(),
       .annotations = {},
       .run = [context](const Json& arguments, const CallContext& call) {
         return mcp::describe(context.snapshots.restore(arguments["snapshot"], arguments.value("name", ""), call.stop));
       }});
  tools.push_back({.name = "list_snapshots",
                   .title = "List snapshots",
                   .description = "The snapshots that save_snapshot has made.",
                   .input = object_schema(Json::object()),
                   .output = object_schema({{"snapshots", list_schema("By name.", snapshot_schema())}}),
                   .annotations = {.read_only = true, .idempotent = true},
                   .run = [context](const Json&, const CallContext&) { return list_snapshots(context); }});
  tools.push_back({.name = "delete_snapshot",
                   .title = "Delete a snapshot",
                   .description = "Removes a snapshot. Machines that were started from it continue.",
                   .input = object_schema({{"name", snapshot_name_schema()}}),
                   .output = object_schema({{"deleted", text_schema("The snapshot's name.")}}),
                   .annotations = {.destructive = true},
                   .run = [context](const Json& arguments, const CallContext&) -> Json {
                     context.snapshots.remove(arguments["name"]);
                     return {{"deleted", arguments["name"]}};
                   }});
  auto names = list_schema("Names of the new machines, one each; default: one machine whose name is made up.",
                           {{"type", "string"}});
  names["minItems"] = 1;
  names["maxItems"] = most_copies;
  tools.push_back(
      {.name = "fork_machine",
       .title = "Fork a machine",
       .description =
           "Makes machines that continue where another one is now, with its memory and files; from then on each "
           "changes only its own. Use it to try several ways from one point. Commands that run in the machine are "
           "ended first.",
       .input = object_schema({{"machine", machine_name_schema()}, {"names", std::move(names)}}, {"machine"}),
       .output = machines_schema(),
       .annotations = {},
       .run = [context](const Json& arguments, const CallContext& call) {
         return fork_machine(context, arguments, call);
       }});
}

}  // namespace fireclaw::mcp
