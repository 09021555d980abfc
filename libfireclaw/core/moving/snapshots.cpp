#include <array>
#include <map>
#include <utility>

#include <fmt/format.h>

#include "base/scope.hpp"
#include "base/text.hpp"
#include "core/machines/snapshots.hpp"
#include "core/machines/workspace_disk.hpp"
#include "core/moving/bundle.hpp"
#include "core/moving/saved.hpp"
#include "fireclaw/collections.hpp"
#include "fireclaw/error.hpp"

namespace fireclaw {
namespace core {
namespace {

constexpr std::chrono::minutes import_limit{6};

/// What is named in a record of others' must be something that this program itself would have written.
void check_names(const state::SnapshotRecord& record) {
  image::check_name(record.image, "an image");
  if (!record.agent) return;
  const auto& agent = record.agent->agent;
  for (const auto& name : {agent.name, agent.template_name}) {
    if (!is_agent_name(name)) {
      throw Error{ErrorCode::InvalidArgument,
                  fmt::format("'{}' in the archive cannot be the name of an agent", one_line(name))};
    }
  }
  if (!agent.network) throw Error{ErrorCode::InvalidArgument, "the archive does not say which network the agent had"};
  static_cast<void>(network_mode_from_string(*agent.network));
}

}  // namespace

state::SnapshotDraft import_draft(const Host::Impl& host) {
  return host.snapshots.begin("import", Deadline::after(import_limit));
}

state::SnapshotRecord read_saved(const Bundle& bundle) {
  auto record = json::read_record<state::SnapshotRecord>(bundle.json(saved_record));
  check_names(record);
  record.automatic = false;
  // The host's own network is for people here to give.
  if (record.agent) record.agent->agent.network = to_string(NetworkMode::Nat);
  return record;
}

void extract_saved(const Bundle& bundle, const state::SnapshotRecord& record, const state::SnapshotDraft& draft,
                   const std::stop_token& stop) {
  const auto files = draft.files();
  const auto disks = draft.disks();
  const auto extract = [&](const char* name, const std::filesystem::path& target, std::uint64_t bytes) {
    if (bundle.bytes(name) != bytes) {
      throw Error{ErrorCode::Corrupt, fmt::format("the archive's '{}' has another size than its record says", name)};
    }
    bundle.extract(name, target, stop);
  };
  extract("state", files.state, record.state_bytes);
  extract("memory", files.memory, record.memory_bytes);
  if (!record.agent) return;
  if (record.agent->scratch_bytes != 0) extract("scratch", disks.scratch, record.agent->scratch_bytes);
  extract("workspace", disks.workspace, record.agent->workspace_bytes);
}

void add_saved(std::map<std::string, BundleContent>& to, const state::SnapshotRecord& record,
               const vmm::SnapshotFiles& files, const state::SavedDisks& disks) {
  to.emplace(saved_record, json::record_text(record));
  to.emplace("state", files.state);
  to.emplace("memory", files.memory);
  if (!record.agent) return;
  if (record.agent->scratch_bytes != 0) to.emplace("scratch", disks.scratch);
  to.emplace("workspace", disks.workspace);
}

}  // namespace core

void Snapshot::export_archive(int fd, std::stop_token stop) const {
  const auto& impl = impl_->host;
  const auto record = impl->snapshots.find(name());
  if (!record) {
    throw Error{ErrorCode::NotFound, fmt::format("no snapshot named '{}'; see: fireclaw snapshot list", name())};
  }
  std::map<std::string, core::BundleContent> files;
  core::add_saved(files, *record, impl->snapshots.files(*record),
                  record->agent ? impl->snapshots.disks(*record) : state::SavedDisks{});
  core::write_bundle("snapshot", files, fd, stop);
}

Snapshot Snapshots::import_archive(int fd, const std::string& name, bool replace, std::stop_token stop) const {
  const auto& impl = Access::impl(host_);
  auto draft = core::import_draft(*impl);
  state::SnapshotRecord record;
  {
    const sys::TempDir spool{draft.files().state.parent_path(), "spool-"};
    const core::Bundle bundle{fd,
                              spool.path(),
                              "snapshot",
                              {core::saved_record, "state", "memory", "scratch", "workspace"},
                              core::disk_tools(*impl, stop)};
    record = core::read_saved(bundle);
    if (!name.empty()) record.name = name;
    image::check_name(record.name, "a snapshot");
    if (record.name.starts_with(state::automatic_prefix)) {
      throw Error{ErrorCode::InvalidArgument,
                  fmt::format("'{}' is a name for what this home folder saves by itself; give the snapshot another one",
                              record.name)};
    }
    if (!replace && impl->snapshots.find(record.name)) throw core::snapshot_exists(record.name);
    core::extract_saved(bundle, record, draft, stop);
  }
  return Access::snapshot(impl,
                          core::describe(*impl, impl->snapshots.publish(std::move(draft), std::move(record), replace)));
}

}  // namespace fireclaw
