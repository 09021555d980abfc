#include <algorithm>
#include <string>
#include <utility>

#include "common/json_of.hpp"
#include "members.hpp"
#include "schema.hpp"
#include "tools.hpp"

namespace fireclaw::mcp {
namespace {

constexpr std::size_t most_console_bytes = 65536;

Json list_machines(const ToolContext& context) {
  Json machines = Json::array();
  for (const auto& machine : context.machines.list()) machines.push_back(describe(machine));
  return {{"machines", std::move(machines)}};
}

Json read_console(const ToolContext& context, const Json& arguments) {
  const auto machine = context.machines.find(arguments["machine"]);
  return {{"console", machine->console(most_console_bytes)}};
}

Json image_schema() {
  auto members = schemas_of<ImageInfo>({"name", "source", "bytes"});
  members["default"] = flag_schema("Used unless another is asked for.");
  return object_schema(std::move(members));
}

Json list_images(const ToolContext& context) {
  Json images = Json::array();
  const auto& allowed = context.policy.images;
  for (const auto& image : context.backend.images()) {
    if (!allowed.empty() && std::find(allowed.begin(), allowed.end(), image.name) == allowed.end()) continue;
    auto all = cli::to_json(image);
    all["default"] = image.name == context.policy.default_image();
    images.push_back(members_in(image_schema(), all));
  }
  return {{"images", std::move(images)}};
}

}  // namespace

void add_machine_tools(Toolbox& tools, const ToolContext& context) {
  Json arguments{{"name", text_schema("1 to 63 letters, digits and hyphens; made up if it is left out.")}};
  arguments.update(machine_arguments(context.policy));
  tools.push_back(
      {.name = "create_machine",
       .title = "Create a machine",
       .description =
           "Starts a virtual machine that stays, with its files and processes, until remove_machine or the end of the "
           "connection. Not needed for single commands: run_command without a machine makes one for each.",
       .input = object_schema(std::move(arguments), {}),
       .output = machine_schema(),
       .annotations = {},
       .run = [context](const Json& given, const CallContext& call) {
         auto config = machine_from(given, context.policy);
         config.hostname = given.value("name", "");
         return describe(context.machines.create(std::move(config), call.stop));
       }});
  tools.push_back({.name = "list_machines",
                   .title = "List machines",
                   .description = "The machines that create_machine, restore_snapshot and fork_machine have made.",
                   .input = object_schema(Json::object()),
                   .output = object_schema({{"machines", list_schema("By name.", machine_schema())}}),
                   .annotations = {.read_only = true, .idempotent = true},
                   .run = [context](const Json&, const CallContext&) { return list_machines(context); }});
  tools.push_back({.name = "remove_machine",
                   .title = "Remove a machine",
                   .description = "Ends a machine at once. Its processes and files are lost.",
                   .input = object_schema({{"machine", machine_name_schema()}}),
                   .output = object_schema({{"removed", text_schema("The machine's name.")}}),
                   .annotations = {.destructive = true},
                   .run = [context](const Json& arguments, const CallContext&) -> Json {
                     context.machines.remove(arguments["machine"]);
                     return {{"removed", arguments["machine"]}};
                   }});
  tools.push_back(
      {.name = "read_console",
       .title = "Read a machine's console",
       .description = "The last 64 KiB of what a machine's kernel and first process have written, to find out "
                      "why it misbehaves.",
       .input = object_schema({{"machine", machine_name_schema()}}),
       .output = object_schema({{"console", text_schema("Text.")}}),
       .annotations = {.read_only = true, .idempotent = true},
       .run = [context](const Json& arguments, const CallContext&) { return read_console(context, arguments); }});
  tools.push_back({.name = "list_images",
                   .title = "List images",
                   .description = "The images that machines can be made from.",
                   .input = object_schema(Json::object()),
                   .output = object_schema({{"images", list_schema("By name.", image_schema())}}),
                   .annotations = {.read_only = true, .idempotent = true},
                   .run = [context](const Json&, const CallContext&) { return list_images(context); }});
}

}  // namespace fireclaw::mcp
