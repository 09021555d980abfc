#include "state/records/snapshots.hpp"

#include <fcntl.h>

#include <algorithm>
#include <cstdio>
#include <utility>

#include <fmt/format.h>

#include "fireclaw/error.hpp"
#include "json/record.hpp"
#include "state/records/drafts.hpp"
#include "sys/digest.hpp"

namespace fireclaw::state {

namespace {

std::string lock_name(const std::string& name) { return "snapshot-" + name; }

SavedDisks disks_in(const std::filesystem::path& folder) { return {folder / "scratch", folder / "workspace"}; }

SnapshotRecord read_file(const std::filesystem::path& file, const std::string& name) {
  const auto value = json::Value::parse_file(file);
  auto record = json::read_record<SnapshotRecord>(value);
  if (record.name != name) value.at("name").fail(fmt::format("expected '{}'", name));
  return record;
}

void check_size(const std::filesystem::path& file, std::uint64_t expected) {
  std::error_code error;
  const auto bytes = std::filesystem::file_size(file, error);
  if (error || bytes != expected) {
    throw Error{ErrorCode::Corrupt,
                fmt::format("{} is not the file that was saved: {} bytes are expected, {} are there; remove the "
                            "snapshot with: fireclaw snapshot remove",
                            file.native(), expected, error ? std::uintmax_t{0} : bytes)};
  }
}

}  // namespace

std::string automatic_name(const SnapshotKey& key) {
  sys::Sha256 digest;
  digest.update(
      fmt::format("{}\n{}\n{}\n{}\n{}", key.engine_identity, key.image_digest, key.cpus, key.memory_mib, key.network));
  if (!key.drives.empty()) digest.update(fmt::format("\ndrives {}", key.drives));
  if (!key.prepared.empty()) digest.update(fmt::format("\nprepared {}", key.prepared));
  return fmt::format("{}{}", automatic_prefix, digest.hex().substr(0, 16));
}

vmm::SnapshotFiles SnapshotDraft::files() const { return {folder_.path() / "state", folder_.path() / "memory"}; }

SavedDisks SnapshotDraft::disks() const { return disks_in(folder_.path()); }

SnapshotStore::SnapshotStore(std::filesystem::path directory, std::filesystem::path locks, Logger logger)
    : directory_{std::move(directory)}, locks_{std::move(locks)}, logger_{std::move(logger)} {}

SnapshotDraft SnapshotStore::begin(const std::string& name, Deadline deadline) const {
  auto lock = sys::FileLock::acquire(locks_ / lock_name(name), sys::FileLock::Mode::Exclusive, deadline,
                                     fmt::format("snapshot '{}'", name));
  return {std::move(lock), sys::TempDir{directory_, fmt::format("{}{}-", draft_prefix, name)}};
}

void SnapshotStore::complete(const SnapshotDraft& draft, SnapshotRecord& record) {
  const auto files = draft.files();
  record.state_bytes = std::filesystem::file_size(files.state);
  record.state_sha256 = sys::sha256_file(files.state);
  record.memory_bytes = std::filesystem::file_size(files.memory);
}

SnapshotRecord SnapshotStore::publish(SnapshotDraft draft, SnapshotRecord record, bool replace) const {
  complete(draft, record);
  sys::write_file_atomic(draft.folder_.path() / "manifest.json", json::record_text(record));

  const auto target = directory_ / record.name;
  if (replace && std::filesystem::exists(target)) {
    if (draft.folder_.exchange(target)) return record;
    // Out of the way first: a folder can only be renamed over an empty one. The old folder keeps a draft's name, so
    // that an interruption here is cleaned up like any other.
    const sys::TempDir old{directory_, fmt::format("{}{}-", draft_prefix, record.name)};
    if (std::rename(target.c_str(), (old.path() / "old").c_str()) != 0) {
      sys::throw_errno(fmt::format("move {} away", target.native()));
    }
    draft.folder_.publish(target);
  } else {
    draft.folder_.publish(target);
  }
  return record;
}

std::optional<SnapshotRecord> SnapshotStore::find(const std::string& name) const {
  const auto file = directory_ / name / "manifest.json";
  if (!std::filesystem::exists(file)) {
    if (!std::filesystem::exists(directory_ / name)) return std::nullopt;
    throw Error{ErrorCode::Corrupt, fmt::format("{} is missing; remove the snapshot with: fireclaw snapshot remove {}",
                                                file.native(), name)};
  }
  return read_file(file, name);
}

vmm::SnapshotFiles SnapshotStore::files(const SnapshotRecord& record) const {
  const vmm::SnapshotFiles files{directory_ / record.name / "state", directory_ / record.name / "memory"};
  check_size(files.state, record.state_bytes);
  check_size(files.memory, record.memory_bytes);
  if (sys::sha256_file(files.state) != record.state_sha256) {
    throw Error{ErrorCode::Corrupt, fmt::format("{} is damaged; remove the snapshot with: fireclaw snapshot remove {}",
                                                files.state.native(), record.name)};
  }
  return files;
}

SavedDisks SnapshotStore::disks(const SnapshotRecord& record) const {
  auto disks = disks_in(directory_ / record.name);
  // One that has no scratch disk has no file of it either.
  if (record.agent->scratch_bytes != 0) check_size(disks.scratch, record.agent->scratch_bytes);
  check_size(disks.workspace, record.agent->workspace_bytes);
  return disks;
}

std::vector<std::string> SnapshotStore::names() const { return names_in(directory_); }

std::uint64_t SnapshotStore::bytes_on_disk(const std::string& name) const {
  std::uint64_t bytes = 0;
  for (const auto* file : {"state", "memory", "scratch", "workspace", "manifest.json"}) {
    if (const auto path = directory_ / name / file; std::filesystem::exists(path)) bytes += sys::allocated_bytes(path);
  }
  return bytes;
}

void SnapshotStore::remove(const std::string& name) const {
  const auto target = directory_ / name;
  if (!std::filesystem::exists(target)) {
    throw Error{ErrorCode::NotFound, fmt::format("no snapshot named '{}'; see: fireclaw snapshot list", name)};
  }
  // Renamed away first, so that nobody starts to restore a half-removed one.
  const sys::TempDir grave{directory_, fmt::format("{}{}-", draft_prefix, name)};
  if (std::rename(target.c_str(), (grave.path() / "old").c_str()) != 0) {
    sys::throw_errno(fmt::format("move {} away", target.native()));
  }
}

std::vector<std::filesystem::path> SnapshotStore::remove_unfinished() const {
  return remove_abandoned_drafts(directory_, [this](const std::string& name) { return locks_ / lock_name(name); });
}

}  // namespace fireclaw::state
