#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "json/record.hpp"
#include "sys/file.hpp"

namespace fireclaw::state {

/// workspaces/<name>/workspace.json. The disk is beside it: disk.ext4.
struct WorkspaceRecord {
  static constexpr unsigned schema = 1;

  std::string name;
  std::chrono::system_clock::time_point created;
  /// The owner of its content, by number in the guest.
  std::uint32_t uid = 1000;
  std::uint32_t gid = 1000;

  bool operator==(const WorkspaceRecord&) const = default;
};

void describe(auto& field, json::Is<WorkspaceRecord> auto& record) {
  field.schema(WorkspaceRecord::schema);
  field("name", record.name);
  field("created_ms", record.created);
  field("uid", record.uid);
  field("gid", record.gid);
}

/// The workspaces under one folder. Any number of processes may use it at once; a process that changes a workspace or
/// uses its disk holds the lock of its name, which this class names but does not take.
class WorkspaceStore {
 public:
  WorkspaceStore(std::filesystem::path directory, std::filesystem::path locks);

  [[nodiscard]] std::filesystem::path directory(const std::string& name) const { return directory_ / name; }
  [[nodiscard]] std::filesystem::path disk(const std::string& name) const { return directory_ / name / "disk.ext4"; }
  [[nodiscard]] std::filesystem::path lock_file(const std::string& name) const;

  /// Error(Corrupt) naming the file if it is torn or missing; nullopt if there is no such workspace.
  [[nodiscard]] std::optional<WorkspaceRecord> find(const std::string& name) const;
  /// Names of all, whole or not.
  [[nodiscard]] std::vector<std::string> names() const;

  /// A folder for files that are being made for this workspace, on the same file system. Needs the lock; if its maker
  /// is killed, remove_unfinished() removes it.
  [[nodiscard]] sys::TempDir draft(const std::string& name) const;
  /// Turns the draft, which holds the disk, into the workspace in one step. Error(AlreadyExists).
  void publish(sys::TempDir draft, const WorkspaceRecord& record) const;
  /// Gives the workspace another disk in one step: afterwards it has the old one or the new one, whole.
  void replace_disk(const std::string& name, const std::filesystem::path& disk) const;
  /// Removes it at once for all others. Needs the lock, whose file goes too.
  void remove(const std::string& name) const;
  /// Removes the leftovers of interrupted makers. Returns the removed paths.
  std::vector<std::filesystem::path> remove_unfinished() const;

 private:
  std::filesystem::path directory_;
  std::filesystem::path locks_;
};

}  // namespace fireclaw::state
