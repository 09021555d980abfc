#include "state/snapshots.hpp"

#include <fcntl.h>

#include <algorithm>
#include <cstdio>
#include <utility>

#include <fmt/format.h>

#include "fireclaw/error.hpp"
#include "json/json.hpp"
#include "state/drafts.hpp"
#include "state/record_parts.hpp"
#include "sys/digest.hpp"

namespace fireclaw::state {
namespace {

std::string lock_name(const std::string& name) { return "snapshot-" + name; }

SavedDisks disks_in(const std::filesystem::path& folder) { return {folder / "scratch", folder / "workspace"}; }

void write_saved_agent(json::Writer& out, const SavedAgent& saved) {
  out.key("agent").begin_object();
  write_agent(out.key("record"), saved.agent);
  out.field("scratch_bytes", saved.scratch_bytes);
  out.field("workspace_bytes", saved.workspace_bytes);
  out.field("workspace_uid", saved.workspace_uid);
  out.field("workspace_gid", saved.workspace_gid);
  out.end_object();
}

SavedAgent read_saved_agent(const json::Value& value) {
  SavedAgent saved;
  saved.agent = read_agent(value.at("record"));
  saved.scratch_bytes = value.at("scratch_bytes").as_uint();
  saved.workspace_bytes = value.at("workspace_bytes").as_uint();
  saved.workspace_uid = static_cast<std::uint32_t>(value.at("workspace_uid").as_uint());
  saved.workspace_gid = static_cast<std::uint32_t>(value.at("workspace_gid").as_uint());
  return saved;
}

std::string to_json(const SnapshotRecord& record) {
  json::Writer out{json::Writer::Style::Pretty};
  out.begin_object();
  out.field("schema", SnapshotRecord::schema);
  out.field("name", record.name);
  out.field("engine", record.engine);
  out.field("engine_identity", record.key.engine_identity);
  out.field("image", record.image);
  out.field("image_digest", record.key.image_digest);
  out.field("cpus", record.key.cpus);
  out.field("memory_mib", record.key.memory_mib);
  out.field("network", record.key.network);
  out.field("drives", record.key.drives);
  out.field("prepared", record.key.prepared);
  out.field("automatic", record.automatic);
  write_time(out, "created_ms", record.created);
  out.field("state_bytes", record.state_bytes);
  out.field("state_sha256", record.state_sha256);
  out.field("memory_bytes", record.memory_bytes);
  if (record.agent) write_saved_agent(out, *record.agent);
  out.end_object();
  return out.take();
}

SnapshotRecord read_record(const std::filesystem::path& file, const std::string& name) {
  const auto value = json::Value::parse_file(file);
  check_schema(value, SnapshotRecord::schema);
  SnapshotRecord record;
  record.name = value.at("name").as_string();
  if (record.name != name) value.at("name").fail(fmt::format("expected '{}'", name));
  record.engine = value.at("engine").as_string();
  record.key.engine_identity = value.at("engine_identity").as_string();
  record.image = value.at("image").as_string();
  record.key.image_digest = value.at("image_digest").as_string();
  record.key.cpus = static_cast<unsigned>(value.at("cpus").as_uint());
  record.key.memory_mib = static_cast<unsigned>(value.at("memory_mib").as_uint());
  record.key.network = value.at("network").as_string();
  // Manifests from before there were disks have neither.
  if (const auto drives = value.find("drives")) record.key.drives = drives->as_string();
  if (const auto prepared = value.find("prepared")) record.key.prepared = prepared->as_string();
  record.automatic = value.at("automatic").as_bool();
  record.created = read_time(value.at("created_ms"));
  record.state_bytes = value.at("state_bytes").as_uint();
  record.state_sha256 = value.at("state_sha256").as_string();
  record.memory_bytes = value.at("memory_bytes").as_uint();
  if (const auto agent = value.find("agent")) record.agent = read_saved_agent(*agent);
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
  return "auto-" + digest.hex().substr(0, 16);
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

SnapshotRecord SnapshotStore::publish(SnapshotDraft draft, SnapshotRecord record, bool replace) const {
  const auto files = draft.files();
  record.state_bytes = std::filesystem::file_size(files.state);
  record.state_sha256 = sys::sha256_file(files.state);
  record.memory_bytes = std::filesystem::file_size(files.memory);
  sys::write_file_atomic(draft.folder_.path() / "manifest.json", to_json(record));

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
  return read_record(file, name);
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
