#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/logger.hpp"
#include "json/record.hpp"
#include "state/records/agents.hpp"
#include "sys/file.hpp"
#include "vmm/spec.hpp"

namespace fireclaw::state {

/// The properties that must be equal to restore a snapshot.
struct SnapshotKey {
  /// vmm::Driver::snapshot_identity().
  std::string engine_identity;
  std::string image_digest;
  unsigned cpus = 1;
  unsigned memory_mib = 0;
  std::string network;
  /// The sizes of its writable disks, as text; empty: it has none.
  std::string drives;
  /// The preparation of the guest; empty: none.
  std::string prepared;

  bool operator==(const SnapshotKey&) const = default;
};

/// The prefix of automatic names, for snapshots that are made and looked for without a name.
inline constexpr std::string_view automatic_prefix = "auto-";

/// The prefix and the first digits of the key's SHA-256.
std::string automatic_name(const SnapshotKey& key);

/// The parts of a running agent's snapshot beside its machine's memory.
struct SavedAgent {
  /// Its settings; name and phase have no meaning here.
  AgentRecord agent;
  std::uint64_t scratch_bytes = 0;
  std::uint64_t workspace_bytes = 0;
  /// The owner of the workspace's content, by number in the guest.
  std::uint32_t workspace_uid = 0;
  std::uint32_t workspace_gid = 0;

  bool operator==(const SavedAgent&) const = default;
};

/// snapshots/<name>/manifest.json. The files are beside it: state, memory; an agent's also has scratch, workspace.
struct SnapshotRecord {
  static constexpr unsigned schema = 1;

  std::string name;
  SnapshotKey key;
  /// vmm::Driver::name().
  std::string engine;
  std::string image;
  bool automatic = false;
  /// It was made by booting, so the same can be made again.
  bool booted = false;
  std::chrono::system_clock::time_point created;
  std::uint64_t state_bytes = 0;
  std::string state_sha256;
  std::uint64_t memory_bytes = 0;
  /// The agent that was saved: it continues from here only with the disks that were saved with it.
  std::optional<SavedAgent> agent;

  bool operator==(const SnapshotRecord&) const = default;
};

void describe(auto& field, json::Is<SavedAgent> auto& saved) {
  field("record", saved.agent);
  field("scratch_bytes", saved.scratch_bytes);
  field("workspace_bytes", saved.workspace_bytes);
  field("workspace_uid", saved.workspace_uid);
  field("workspace_gid", saved.workspace_gid);
}

void describe(auto& field, json::Is<SnapshotRecord> auto& record) {
  field.schema(SnapshotRecord::schema);
  field("name", record.name);
  field("engine", record.engine);
  field("engine_identity", record.key.engine_identity);
  field("image", record.image);
  field("image_digest", record.key.image_digest);
  field("cpus", record.key.cpus);
  field("memory_mib", record.key.memory_mib);
  field("network", record.key.network);
  // Manifests from before there were disks have neither.
  field.later("drives", record.key.drives);
  field.later("prepared", record.key.prepared);
  field("automatic", record.automatic);
  field.rare("booted", record.booted, false);
  field("created_ms", record.created);
  field("state_bytes", record.state_bytes);
  field("state_sha256", record.state_sha256);
  field("memory_bytes", record.memory_bytes);
  field("agent", record.agent);
}

/// The disks of a machine as they were when its memory was saved.
struct SavedDisks {
  std::filesystem::path scratch;
  std::filesystem::path workspace;
};

/// A snapshot being made: a folder that becomes visible under its name in one step, or not at all.
class SnapshotDraft {
 public:
  SnapshotDraft(sys::FileLock lock, sys::TempDir folder) : lock_{std::move(lock)}, folder_{std::move(folder)} {}
  [[nodiscard]] vmm::SnapshotFiles files() const;
  [[nodiscard]] SavedDisks disks() const;

 private:
  sys::FileLock lock_;
  sys::TempDir folder_;
  friend class SnapshotStore;
};

/// The snapshots under one folder. Any number of processes may use it at once.
class SnapshotStore {
 public:
  SnapshotStore(std::filesystem::path directory, std::filesystem::path locks, Logger logger);

  /// Takes the name's lock (waiting for another maker of the same) and a folder to write the files into.
  [[nodiscard]] SnapshotDraft begin(const std::string& name, Deadline deadline) const;
  /// Completes the record with the sizes and the digest of the written files.
  static void complete(const SnapshotDraft& draft, SnapshotRecord& record);
  /// complete(), and makes the snapshot visible. With `replace`, one of
  /// that name is swapped out; otherwise Error(AlreadyExists).
  SnapshotRecord publish(SnapshotDraft draft, SnapshotRecord record, bool replace) const;

  /// Error(Corrupt) if it is torn; nullopt if there is none.
  [[nodiscard]] std::optional<SnapshotRecord> find(const std::string& name) const;
  /// The files, after a check that they are what the record says (sizes, the state's digest). Error(Corrupt).
  [[nodiscard]] vmm::SnapshotFiles files(const SnapshotRecord& record) const;
  /// The disks that were saved with an agent, after a check of their sizes. Error(Corrupt).
  [[nodiscard]] SavedDisks disks(const SnapshotRecord& record) const;
  /// Names of all, whole or not.
  [[nodiscard]] std::vector<std::string> names() const;
  [[nodiscard]] std::uint64_t bytes_on_disk(const std::string& name) const;
  /// Error(NotFound) if there is none.
  void remove(const std::string& name) const;
  /// Removes the leftovers of interrupted makers. Returns the removed paths.
  std::vector<std::filesystem::path> remove_unfinished() const;

 private:
  std::filesystem::path directory_;
  std::filesystem::path locks_;
  Logger logger_;
};

}  // namespace fireclaw::state
