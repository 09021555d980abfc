#include "state/records/workspaces.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "fireclaw/error.hpp"
#include "json/record.hpp"
#include "state/records/drafts.hpp"
#include "sys/folder.hpp"

namespace fireclaw::state {

namespace {

constexpr std::string_view record_file = "workspace.json";

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
  auto record = json::read_whole_record<WorkspaceRecord>(value);
  if (record.name != name) value.at("name").fail(fmt::format("expected '{}'", name));
  return record;
}

std::vector<std::string> WorkspaceStore::names() const { return names_in(directory_); }

sys::TempDir WorkspaceStore::draft(const std::string& name) const {
  sys::make_durable_directories(directory_);
  return {directory_, fmt::format("{}{}-", draft_prefix, name)};
}

void WorkspaceStore::publish(sys::TempDir draft, const WorkspaceRecord& record) const {
  sys::write_file_atomic(draft.path() / record_file, json::record_text(record));
  draft.publish(directory(record.name));
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
