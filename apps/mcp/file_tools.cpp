#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "common/text/quantities.hpp"
#include "common/text/text.hpp"
#include "fireclaw/error.hpp"
#include "fireclaw/file.hpp"
#include "members.hpp"
#include "schema.hpp"
#include "schema_check.hpp"
#include "sys/base64.hpp"
#include "tools.hpp"

namespace fireclaw::mcp {
namespace {

/// Each tool shows those that concern it.
constexpr auto of_file = arguments_of<FileOptions>(
    {"user", "append", "offset"}, {"mode", "parents", "recursive", "follow", "limit", "timeout", "stop"});

/// What a call in a machine is given, beside what the tool sets. A name of a file ends at a NUL.
FileOptions options_for(const ToolContext& context, const Json& arguments, const CallContext& call) {
  refuse_nul(arguments, "content");
  FileOptions options;
  of_file.read(arguments, options);
  options.timeout = context.policy.timeout;
  options.stop = call.stop;
  return options;
}

std::string content_of(const Json& arguments, const Policy& policy) {
  auto content = arguments["content"].get<std::string>();
  if (arguments.value("encoding", "text") == "base64") {
    auto bytes = sys::from_base64(content);
    if (!bytes) throw Error{ErrorCode::InvalidArgument, "'content' is not base64"};
    content = std::move(*bytes);
  }
  if (content.size() > policy.file_bytes) {
    throw Error{ErrorCode::InvalidArgument,
                fmt::format("'content' is {} bytes long; write at most {} at once, and append the rest", content.size(),
                            policy.file_bytes)};
  }
  return content;
}

Json write_file(const ToolContext& context, const Json& arguments, const CallContext& call) {
  const auto content = content_of(arguments, context.policy);
  auto options = options_for(context, arguments, call);
  options.mode = cli::parse_mode(arguments.value("mode", ""), "'mode'");
  options.parents = true;
  const auto written = context.machines.find(arguments["machine"])->write_file(arguments["path"], content, options);
  return {{"path", arguments["path"]}, {"written_bytes", content.size()}, {"size", written.size}};
}

/// Without the first bytes of a character that the end of what was read has torn apart.
void drop_torn_character(std::string& text) {
  for (int dropped = 0; dropped < 3 && !cli::is_utf8(text); ++dropped) text.pop_back();
}

Json read_file(const ToolContext& context, const Json& arguments, const CallContext& call) {
  const auto path = arguments["path"].get<std::string>();
  const auto most = arguments.value("max_bytes", std::uint64_t{context.policy.file_bytes});
  auto options = options_for(context, arguments, call);
  options.limit = most;
  options.follow = true;
  const auto machine = context.machines.find(arguments["machine"]);
  auto content = machine->read_file(path, options);
  const auto size = machine->stat(path, options).size;

  const bool text = arguments.value("encoding", "text") == "text";
  // Files of the kernel's have no size beforehand.
  const bool more = content.size() == most && options.offset + content.size() < size;
  if (text && more && content.size() > 3) drop_torn_character(content);
  if (text && !cli::is_utf8(content)) {
    throw Error{ErrorCode::InvalidArgument,
                fmt::format("'{}' is not text in UTF-8; read it with encoding base64", path)};
  }
  return {{"path", path},
          {"encoding", text ? "text" : "base64"},
          {"content", text ? content : sys::to_base64(content)},
          {"offset", options.offset},
          {"read_bytes", content.size()},
          {"size", size},
          {"truncated", more}};
}

Json list_directory(const ToolContext& context, const Json& arguments, const CallContext& call) {
  const auto path = arguments["path"].get<std::string>();
  const auto most = context.policy.folder_entries;
  auto options = options_for(context, arguments, call);
  // One more shows that there are more.
  options.limit = most + 1;
  auto listed = context.machines.find(arguments["machine"])->list_directory(path, options);
  const bool more = listed.size() > most;
  if (more) listed.resize(most);
  Json entries = Json::array();
  for (auto& entry : listed) {
    entries.push_back({{"name", std::move(entry.name)},
                       {"type", to_string(entry.type)},
                       {"size", entry.size},
                       {"mode", fmt::format("{:04o}", entry.mode)},
                       {"modified", cli::iso_time(entry.modified)}});
  }
  return {{"path", path}, {"entries", std::move(entries)}, {"truncated", more}};
}

Json path_schema() { return text_schema("An absolute path in the machine."); }

Json encoding_schema(const char* what) {
  auto schema = text_schema(fmt::format("How `content` holds {}: text (UTF-8, the default) or base64.", what));
  schema["enum"] = {"text", "base64"};
  return schema;
}

Json option_schema(const char* member) { return of_file.schemas().at(member); }

Json entry_schema() {
  auto members = schemas_of<FileInfo>({"name", "type", "size", "modified"});
  members["name"] = text_schema("Bytes that are not UTF-8 are replaced.");
  members["mode"] = text_schema("Octal, as in 0755.");
  return object_schema(std::move(members));
}

void add_write_file(Toolbox& tools, const ToolContext& context) {
  tools.push_back(
      {.name = "write_file",
       .title = "Write a file",
       .description = fmt::format(
           "Writes a file in a machine, up to {} bytes at once, or appends to it. Missing folders are made. If a "
           "write fails, the file stays as it was.",
           context.policy.file_bytes),
       .input = object_schema({{"machine", machine_name_schema()},
                               {"path", path_schema()},
                               {"content", text_schema("The file's content.")},
                               {"encoding", encoding_schema("it")},
                               {"append", option_schema("append")},
                               {"mode", text_schema("Octal, as in 0755; default: as the machine has it.")},
                               {"user", option_schema("user")}},
                              {"machine", "path", "content"}),
       .output = object_schema({{"path", path_schema()},
                                {"written_bytes", integer_schema("Bytes that this call wrote.")},
                                {"size", integer_schema("Size of the file in bytes.")}}),
       .annotations = {.destructive = true},
       .run = [context](const Json& arguments, const CallContext& call) {
         return write_file(context, arguments, call);
       }});
}

void add_read_file(Toolbox& tools, const ToolContext& context) {
  const auto most = static_cast<std::int64_t>(context.policy.file_bytes);
  tools.push_back(
      {.name = "read_file",
       .title = "Read a file",
       .description = fmt::format("Reads a file in a machine, or a part of it, up to {} bytes at once.", most),
       .input = object_schema({{"machine", machine_name_schema()},
                               {"path", path_schema()},
                               {"encoding", encoding_schema("what was read")},
                               {"offset", option_schema("offset")},
                               {"max_bytes", whole_schema(fmt::format("Bytes to read; default: {}.", most), 1, most)},
                               {"user", option_schema("user")}},
                              {"machine", "path"}),
       .output = object_schema({{"path", path_schema()},
                                {"encoding", text_schema("text or base64.")},
                                {"content", text_schema("The bytes read.")},
                                {"offset", integer_schema("Offset of the first byte in the file.")},
                                {"read_bytes", integer_schema("Number of bytes read.")},
                                {"size", integer_schema("Size of the whole file in bytes.")},
                                {"truncated", flag_schema("Whether the file continues after them.")}}),
       .annotations = {.read_only = true, .idempotent = true},
       .run = [context](const Json& arguments, const CallContext& call) {
         return read_file(context, arguments, call);
       }});
}

void add_list_directory(Toolbox& tools, const ToolContext& context) {
  const auto most = context.policy.folder_entries;
  tools.push_back({.name = "list_directory",
                   .title = "List a directory",
                   .description = fmt::format("Lists a directory of a machine, {} entries at most.", most),
                   .input = object_schema(
                       {{"machine", machine_name_schema()}, {"path", path_schema()}, {"user", option_schema("user")}},
                       {"machine", "path"}),
                   .output = object_schema({{"path", path_schema()},
                                            {"entries", list_schema("By name.", entry_schema())},
                                            {"truncated", flag_schema("Whether there are more entries.")}}),
                   .annotations = {.read_only = true, .idempotent = true},
                   .run = [context](const Json& arguments, const CallContext& call) {
                     return list_directory(context, arguments, call);
                   }});
}

}  // namespace

void add_file_tools(Toolbox& tools, const ToolContext& context) {
  add_write_file(tools, context);
  add_read_file(tools, context);
  add_list_directory(tools, context);
}

}  // namespace fireclaw::mcp
