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
#include "state/drafts.hpp"
#include "state/record_parts.hpp"

namespace fireclaw::state {
namespace {

constexpr std::string_view record_file = "workspace.json";

std::string to_json(const WorkspaceRecord& record) {
  json::Writer out{json::Writer::Style::Pretty};
  out.begin_object();
  out.field("schema", WorkspaceRecord::schema);
  out.field("name", record.name);
  write_time(out, "created_ms", record.created);
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
  check_schema(value, WorkspaceRecord::schema);
  value.only({"schema", "name", "created_ms", "uid", "gid"});
  WorkspaceRecord record;
  record.name = value.at("name").as_string();
  if (record.name != name) value.at("name").fail(fmt::format("expected '{}'", name));
  record.created = read_time(value.at("created_ms"));
  record.uid = read_id(value.at("uid"));
  record.gid = read_id(value.at("gid"));
  return record;
}

std::vector<std::string> WorkspaceStore::names() const { return names_in(directory_); }

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
  return remove_abandoned_drafts(directory_, [this](const std::string& name) { return lock_file(name); });
}

}  // namespace fireclaw::state
