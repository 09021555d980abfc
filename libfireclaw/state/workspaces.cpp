#include "state/workspaces.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "fireclaw/error.hpp"
#include "json/json.hpp"

namespace fireclaw::state {
namespace {

constexpr std::string_view draft_prefix = ".draft-";
constexpr std::string_view record_file = "workspace.json";

std::string to_json(const WorkspaceRecord& record) {
  json::Writer out{json::Writer::Style::Pretty};
  out.begin_object();
  out.field("schema", WorkspaceRecord::schema);
  out.field("name", record.name);
  const auto created = std::chrono::duration_cast<std::chrono::milliseconds>(record.created.time_since_epoch());
  out.field("created_ms", std::int64_t{created.count()});
  out.field("uid", std::uint64_t{record.uid});
  out.field("gid", std::uint64_t{record.gid});
  out.end_object();
  return out.take();
}

std::uint32_t read_id(const json::Value& value) {
  const auto number = value.as_uint();
  if (number > std::numeric_limits<std::uint32_t>::max()) value.fail("too large for a user's or group's number");
  return static_cast<std::uint32_t>(number);
}

void move(const std::filesystem::path& from, const std::filesystem::path& to) {
  if (std::rename(from.c_str(), to.c_str()) != 0) sys::throw_errno(fmt::format("move {} away", from.native()));
}

}  // namespace

WorkspaceStore::WorkspaceStore(std::filesystem::path directory, std::filesystem::path locks)
    : directory_{std::move(directory)}, locks_{std::move(locks)} {}

std::filesystem::path WorkspaceStore::lock_file(const std::string& name) const {
  return locks_ / ("workspace-" + name);
}

std::optional<WorkspaceRecord> WorkspaceStore::find(const std::string& name) const {
  const auto file = directory(name) / record_file;
  if (!std::filesystem::exists(file)) {
    if (!std::filesystem::exists(directory(name))) return std::nullopt;
    throw Error{
        ErrorCode::Corrupt,
        fmt::format("{} is missing; remove the workspace with: fireclaw workspace remove {}", file.native(), name)};
  }
  const auto value = json::Value::parse_file(file);
  if (const auto schema = value.at("schema").as_uint(); schema != WorkspaceRecord::schema) {
    value.at("schema").fail(
        fmt::format("this fireclaw reads schema {}, the file has {}", WorkspaceRecord::schema, schema));
  }
  value.only({"schema", "name", "created_ms", "uid", "gid"});
  WorkspaceRecord record;
  record.name = value.at("name").as_string();
  if (record.name != name) value.at("name").fail(fmt::format("expected '{}'", name));
  record.created = std::chrono::system_clock::time_point{std::chrono::milliseconds{value.at("created_ms").as_int()}};
  record.uid = read_id(value.at("uid"));
  record.gid = read_id(value.at("gid"));
  return record;
}

std::vector<std::string> WorkspaceStore::names() const {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator{directory_, error}) {
    if (const std::string name = entry.path().filename(); !name.starts_with('.')) names.push_back(name);
  }
  std::ranges::sort(names);
  return names;
}

sys::TempDir WorkspaceStore::draft(const std::string& name) const {
  sys::make_directories(directory_);
  return {directory_, fmt::format("{}{}-", draft_prefix, name)};
}

void WorkspaceStore::publish(sys::TempDir draft, const WorkspaceRecord& record) const {
  sys::write_file_atomic(draft.path() / record_file, to_json(record));
  draft.publish(directory(record.name));
  sys::sync_directory(directory_);
}

void WorkspaceStore::replace_disk(const std::string& name, const std::filesystem::path& disk) const {
  move(disk, this->disk(name));
  sys::sync_directory(directory(name));
}

void WorkspaceStore::remove(const std::string& name) const {
  // Renamed away first, so that nobody starts to use a half-removed one.
  const auto grave = draft(name);
  move(directory(name), grave.path() / "old");
  sys::sync_directory(directory_);
  ::unlink(lock_file(name).c_str());
}

std::vector<std::filesystem::path> WorkspaceStore::remove_unfinished() const {
  std::vector<std::filesystem::path> removed;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator{directory_, error}) {
    const std::string folder = entry.path().filename();
    if (!folder.starts_with(draft_prefix)) continue;
    // A maker holds its name's lock; without one at work, the draft is a leftover.
    const auto name = folder.substr(draft_prefix.size(), folder.rfind('-') - draft_prefix.size());
    const auto lock = sys::FileLock::try_acquire(lock_file(name), sys::FileLock::Mode::Exclusive);
    if (!lock) continue;
    sys::remove_tree(entry.path());
    removed.push_back(entry.path());
  }
  return removed;
}

}  // namespace fireclaw::state
