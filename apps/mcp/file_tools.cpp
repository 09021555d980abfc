#include <charconv>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "common/quantities.hpp"
#include "common/text.hpp"
#include "fireclaw/error.hpp"
#include "schema.hpp"
#include "sys/base64.hpp"
#include "tools.hpp"

namespace fireclaw::mcp {
namespace {

// Files are reached by what every image with a shell has, as the user that is named: so rights and owners are the
// machine's business. Names and numbers are arguments, never part of a script.

/// $1 path, $2 "append" or empty, $3 mode or empty. The content is standard input. What a file held is there until all
/// of the new content is: that is written beside it, then renamed. Links are followed. A file with other names, or in a
/// folder that nothing can be made in, is written in its place.
constexpr const char* write_script = R"sh(
case $1 in */*/*) mkdir -p -- "${1%/*}" || exit ;; esac
target=$(readlink -f -- "$1" && echo x)
target=${target%?x}
[ -n "$target" ] || target=$1
folder=${target%/*}/
if [ "$2" = append ]; then
  size=$(stat -c %s -- "$target" 2>/dev/null)
  cat >> "$target" || {
    status=$?
    [ -z "$size" ] || truncate -s "$size" -- "$target"
    exit $status
  }
elif [ -e "$target" ] && { [ ! -f "$target" ] || [ ! -w "$folder" ]; }; then
  cat > "$target" || exit
else
  new=$(mktemp -- "$folder.write.XXXXXX") || exit
  trap 'rm -f -- "$new"' EXIT
  cat > "$new" || exit
  links=1
  if [ -e "$target" ]; then
    links=$(stat -c %h -- "$target")
    chown "$(stat -c %u:%g -- "$target")" -- "$new" 2>/dev/null
    chmod "$(stat -c %a -- "$target")" -- "$new" || exit
  else
    chmod "$(printf %o $((0666 & ~$(umask))))" -- "$new" || exit
  fi
  [ "$links" -eq 1 ] && mv -f -- "$new" "$target" 2>/dev/null || cat "$new" > "$target" || exit
fi
[ -z "$3" ] || chmod -- "$3" "$target" || exit
stat -L -c %s -- "$target"
)sh";

/// $1 path, $2 offset, $3 how many bytes. The size goes to standard error, and so does what went wrong.
constexpr const char* read_script = R"sh(
[ -e "$1" ] || { echo "there is no such file" >&2; exit 1; }
[ -f "$1" ] || { echo "this is not a file" >&2; exit 1; }
stat -L -c %s -- "$1" >&2 || exit
tail -c "+$(($2 + 1))" -- "$1" | head -c "$3"
)sh";

/// $1 path, $2 how many entries. Prints how many it shows and how many there are, the names, each with a NUL behind it,
/// and then a line for each: mode, size, time.
constexpr const char* list_script = R"sh(
[ -d "$1" ] || { echo "there is no such folder" >&2; exit 1; }
cd -- "$1" || exit
most=$2 count=0
set --
for name in * .[!.]* ..?*; do
  [ -e "$name" ] || [ -L "$name" ] || continue
  count=$((count + 1))
  [ "$count" -gt "$most" ] || set -- "$@" "$name"
done
echo "$# $count"
[ $# -eq 0 ] || { printf '%s\0' "$@"; stat -c '%f %s %Y' -- "$@"; }
)sh";

constexpr std::uint64_t file_type = 0170000;
/// What a script says when it fails, and a number.
constexpr std::size_t most_complaint = 4096;
/// What the listing has of an entry: a name of 255 bytes, its mode, size and time.
constexpr std::size_t most_entry = 255 + 1 + 64;

Error failed(const std::string& path, std::string_view why) {
  while (!why.empty() && why.back() == '\n') why.remove_suffix(1);
  return Error{ErrorCode::Guest, fmt::format("'{}': {}", cli::shorten(path, 200), why)};
}

/// Runs one of the scripts. What it prints to standard error when it fails is the error. The machine's shell can be
/// anything: one that prints more than `most_bytes` is ended, and of its complaints the beginning is kept.
ExecResult run_script(const ToolContext& context, const Json& arguments, const CallContext& call, const char* script,
                      std::vector<std::string> words, std::size_t most_bytes, std::string input = {}) {
  const auto path = arguments["path"].get<std::string>();
  if (!path.starts_with('/')) {
    throw Error{ErrorCode::InvalidArgument, fmt::format("'{}' is not an absolute path", cli::shorten(path, 200))};
  }
  refuse_nul(arguments, "content");
  std::string out;
  std::string err;
  auto options = ExecOptions::shell(script);
  options.argv.insert(options.argv.end(), {"sh", path});
  options.argv.insert(options.argv.end(), words.begin(), words.end());
  options.input = std::move(input);
  options.user = arguments.value("user", "");
  options.timeout = context.policy.timeout;
  options.stop = call.stop;
  options.on_stdout = [&](std::string_view bytes) {
    if (bytes.size() > most_bytes - out.size()) throw failed(path, "the machine sends more than was asked for");
    out += bytes;
  };
  options.on_stderr = [&](std::string_view bytes) { err += bytes.substr(0, most_complaint - err.size()); };
  auto result = context.machines.find(arguments["machine"])->exec(std::move(options));
  if (result.timed_out) throw failed(path, "it took too long");
  if (result.exit_code != 0) throw failed(path, err.empty() ? "the command failed" : err);
  result.out = std::move(out);
  result.err = std::move(err);
  return result;
}

/// The number at the beginning of `text`, which is left without it and the byte behind it.
std::optional<std::uint64_t> take_number(std::string_view& text, int base = 10) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  if (error != std::errc{} || end == text.data() + text.size()) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()) + 1);
  return number;
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
                fmt::format("'content' is {} bytes long; at once may be written {}, and the rest appended",
                            content.size(), policy.file_bytes)};
  }
  return content;
}

Json write_file(const ToolContext& context, const Json& arguments, const CallContext& call) {
  auto content = content_of(arguments, context.policy);
  const auto written = content.size();
  const auto mode = arguments.value("mode", "");
  if (mode.find_first_not_of("01234567") != std::string::npos) {
    throw Error{ErrorCode::InvalidArgument, fmt::format("'mode' '{}' is not octal, as in 0755", mode)};
  }
  const auto result =
      run_script(context, arguments, call, write_script, {arguments.value("append", false) ? "append" : "", mode},
                 most_complaint, std::move(content));
  std::string_view out = result.out;
  return {{"path", arguments["path"]}, {"written_bytes", written}, {"size", take_number(out).value_or(written)}};
}

bool is_utf8(const std::string& bytes) {
  try {
    static_cast<void>(Json(bytes).dump());
    return true;
  } catch (const Json::type_error&) {
    return false;
  }
}

/// Without the first bytes of a character that the end of what was read has torn apart.
void drop_torn_character(std::string& text) {
  for (int dropped = 0; dropped < 3 && !is_utf8(text); ++dropped) text.pop_back();
}

Json read_file(const ToolContext& context, const Json& arguments, const CallContext& call) {
  const auto path = arguments["path"].get<std::string>();
  const auto offset = arguments.value("offset", std::uint64_t{0});
  const auto most = arguments.value("max_bytes", std::uint64_t{context.policy.file_bytes});
  const auto result =
      run_script(context, arguments, call, read_script, {std::to_string(offset), std::to_string(most)}, most);
  std::string_view told = result.err;
  const auto size = take_number(told);
  if (!size || !told.empty()) throw failed(path, result.err);

  const bool text = arguments.value("encoding", "text") == "text";
  auto content = result.out;
  // Files of the kernel's have no size beforehand.
  const bool more = content.size() == most && offset + content.size() < *size;
  if (text && more && content.size() > 3) drop_torn_character(content);
  if (text && !is_utf8(content)) {
    throw Error{ErrorCode::InvalidArgument,
                fmt::format("'{}' is not text in UTF-8; read it with encoding base64", path)};
  }
  return {
      {"path", path},     {"encoding", text ? "text" : "base64"}, {"content", text ? content : sys::to_base64(content)},
      {"offset", offset}, {"read_bytes", content.size()},         {"size", *size},
      {"truncated", more}};
}

std::string type_name(std::uint64_t mode) {
  switch (mode & file_type) {
    case 0100000: return "file";
    case 0040000: return "directory";
    case 0120000: return "link";
    default: return "other";
  }
}

Json list_directory(const ToolContext& context, const Json& arguments, const CallContext& call) {
  const auto path = arguments["path"].get<std::string>();
  const auto most = context.policy.folder_entries;
  const auto result =
      run_script(context, arguments, call, list_script, {std::to_string(most)}, (most + 1) * most_entry);
  const auto changed = failed(path, "the folder changed while it was read; try again");
  std::string_view rest = result.out;
  const auto shown = take_number(rest);
  const auto there = take_number(rest);
  if (!shown || !there || *shown > *there || *shown > most) throw changed;
  std::vector<std::string> names;
  while (names.size() < *shown) {
    const auto end = rest.find('\0');
    if (end == std::string_view::npos) throw changed;
    names.emplace_back(rest.substr(0, end));
    rest.remove_prefix(end + 1);
  }
  Json entries = Json::array();
  for (auto& name : names) {
    const auto mode = take_number(rest, 16);
    const auto size = take_number(rest);
    const auto time = take_number(rest);
    if (!mode || !size || !time) throw changed;
    entries.push_back({{"name", std::move(name)},
                       {"type", type_name(*mode)},
                       {"size", *size},
                       {"mode", fmt::format("{:04o}", *mode & 07777)},
                       {"modified", cli::iso_time(std::chrono::system_clock::time_point{
                                        std::chrono::seconds{static_cast<std::int64_t>(*time)}})}});
  }
  return {{"path", path}, {"entries", std::move(entries)}, {"truncated", *there > *shown}};
}

Json path_schema() { return text_schema("An absolute path in the machine."); }

Json encoding_schema(const char* what) {
  auto schema = text_schema(fmt::format("How `content` stands for {}: text (UTF-8, the default) or base64.", what));
  schema["enum"] = {"text", "base64"};
  return schema;
}

Json user_schema() { return text_schema("As whom: user name or uid[:gid]; default: the image's user, else root."); }

Json whole(const char* description) { return {{"type", "integer"}, {"description", description}}; }

Json entry_schema() {
  return object_schema({{"name", text_schema("Bytes that are not UTF-8 are replaced.")},
                        {"type", text_schema("file, directory, link or other.")},
                        {"size", whole("In bytes.")},
                        {"mode", text_schema("Octal, as in 0755.")},
                        {"modified", text_schema("When, in UTC.")}},
                       {"name", "type", "size", "mode", "modified"});
}

void add_write_file(Toolbox& tools, const ToolContext& context) {
  tools.push_back(
      {.name = "write_file",
       .title = "Write a file",
       .description = fmt::format(
           "Writes a file in a machine, up to {} bytes at once, or appends to it. Folders that are missing are made.",
           context.policy.file_bytes),
       .input = object_schema({{"machine", machine_name_schema()},
                               {"path", path_schema()},
                               {"content", text_schema("What the file is to hold.")},
                               {"encoding", encoding_schema("it")},
                               {"append", flag_schema("Add to what is there; default: replace it.")},
                               {"mode", text_schema("Octal, as in 0755; default: as the machine has it.")},
                               {"user", user_schema()}},
                              {"machine", "path", "content"}),
       .output = object_schema(
           {{"path", path_schema()}, {"written_bytes", whole("Of this call.")}, {"size", whole("Of the file.")}},
           {"path", "written_bytes", "size"}),
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
                               {"offset", whole_schema("Bytes to pass over; default: 0.", 0, std::int64_t{1} << 50)},
                               {"max_bytes", whole_schema(fmt::format("Bytes to read; default: {}.", most), 1, most)},
                               {"user", user_schema()}},
                              {"machine", "path"}),
       .output = object_schema({{"path", path_schema()},
                                {"encoding", text_schema("text or base64.")},
                                {"content", text_schema("What was read.")},
                                {"offset", whole("Where it begins.")},
                                {"read_bytes", whole("How much it is.")},
                                {"size", whole("Of the whole file.")},
                                {"truncated", flag_schema("There is more behind it.")}},
                               {"path", "encoding", "content", "offset", "read_bytes", "size", "truncated"}),
       .annotations = {.read_only = true, .idempotent = true},
       .run = [context](const Json& arguments, const CallContext& call) {
         return read_file(context, arguments, call);
       }});
}

void add_list_directory(Toolbox& tools, const ToolContext& context) {
  const auto most = context.policy.folder_entries;
  tools.push_back(
      {.name = "list_directory",
       .title = "List a directory",
       .description = fmt::format("What is in a directory of a machine, {} entries at most.", most),
       .input = object_schema({{"machine", machine_name_schema()}, {"path", path_schema()}, {"user", user_schema()}},
                              {"machine", "path"}),
       .output = object_schema({{"path", path_schema()},
                                {"entries", list_schema("By name.", entry_schema())},
                                {"truncated", flag_schema("There are more.")}},
                               {"path", "entries", "truncated"}),
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
