#include <chrono>
#include <map>
#include <utility>

#include <fmt/format.h>

#include "base/scope.hpp"
#include "base/text.hpp"
#include "core/agents/copy.hpp"
#include "core/agents/impl.hpp"
#include "core/machines/snapshots.hpp"
#include "core/moving/bundle.hpp"
#include "core/moving/disks.hpp"
#include "core/moving/saved.hpp"
#include "fireclaw/collections.hpp"
#include "fireclaw/error.hpp"
#include "image/disks/ext4.hpp"
#include "json/record.hpp"
#include "state/settings/secret_fields.hpp"
#include "sys/file.hpp"
#include "sys/folder.hpp"

namespace fireclaw {
namespace {

constexpr std::chrono::minutes copy_limit{6};
constexpr const char* agent_file = "agent.json";
constexpr const char* template_file = "template.json";
constexpr const char* workspace_file = "workspace.json";
/// The workspace's disk; SavedDisks calls it so too.
constexpr const char* disk_file = "workspace";

std::string template_text(const state::Template& from) {
  json::Writer out{json::Writer::Style::Pretty};
  out.value(from.value);
  std::vector<std::string> left_out;
  return state::without_secrets(from.value, out.take(), left_out);
}

/// A template gives rights on this host. Those that reach the host's own network or take its ports are not taken from
/// an archive.
void require_harmless(const state::Template& came) {
  const auto refuse = [&](std::string_view what) {
    return Error{
        ErrorCode::InvalidArgument,
        fmt::format("the archive's template '{}' {}; if it may, put the archive's template.json into '{}' first",
                    came.name, what, came.file.native())};
  };
  if (came.text("network") == "user") throw refuse("reaches this host's own network (\"network\": \"user\")");
  if (!came.texts("publish").empty()) throw refuse("takes ports of this host (\"publish\")");
}

/// Writes the template that came with an agent, unless there is the same one. Returns the file that was made, or an
/// empty path.
std::filesystem::path give_template(const AgentManager::Impl& agents, const core::Bundle& bundle,
                                    const std::string& name) {
  if (!is_agent_name(name)) {
    throw Error{ErrorCode::InvalidArgument, fmt::format("'{}' cannot be a template's name", name)};
  }
  const auto here = agents.templates.find(name);
  if (!bundle.has(template_file)) {
    if (here) return {};
    throw Error{ErrorCode::NotFound,
                fmt::format("the agent's template '{}' comes with another version of fireclaw and is not here", name)};
  }
  const auto file = agents.host->layout.templates() / (name + ".json");
  auto came = state::parse_template(name, bundle.text(template_file), file);
  if (!here) {
    require_harmless(came);
    sys::make_durable_directories(file.parent_path());
    sys::write_file_atomic(file, bundle.text(template_file), 0644);
    return file;
  }
  if (template_text(*here) == template_text(came)) return {};
  throw Error{ErrorCode::AlreadyExists,
              fmt::format("there is another template '{}' here; give the agent's template another name with "
                          "--template",
                          name)};
}

/// Makes the workspace that the archive holds.
void give_workspace(const Host::Impl& host, const core::Bundle& bundle, const std::string& name,
                    const std::stop_token& stop) {
  const auto lock = core::lock_workspace(host, name, "importing it");
  core::require_no_workspace(host, name);
  auto record = json::read_whole_record<state::WorkspaceRecord>(bundle.json(workspace_file));
  record.name = name;
  auto draft = host.workspaces.draft(name);
  const auto disk = draft.path() / "disk.ext4";
  bundle.extract(disk_file, disk, stop);
  if (image::ext4_usage(disk).bytes != std::filesystem::file_size(disk)) {
    throw Error{ErrorCode::Corrupt, "the archive's workspace has another size than its file system"};
  }
  image::check_ext4(disk, image::CheckDepth::Full, core::disk_tools(host, stop), host.logger);
  host.workspaces.publish(std::move(draft), record);
}

}  // namespace

void Agent::export_archive(int fd, bool memory, std::stop_token stop) const {
  agents_->export_archive(name_, fd, memory, stop);
}

AgentImport AgentManager::import_archive(int fd, const AgentImportOptions& options) const {
  return impl_->import_archive(fd, options);
}

void AgentManager::Impl::export_archive(const std::string& name, int fd, bool memory, const std::stop_token& stop) {
  std::map<std::string, core::BundleContent> files;
  // Keeps what is copied until it is written.
  std::optional<core::AgentCopy> copy;
  std::optional<state::SnapshotDraft> draft;
  {
    const auto turn = lock(name);
    const auto record = require(name);
    if (record.copy != state::CopyStage::Whole) {
      throw Error{ErrorCode::InvalidState, fmt::format("agent '{}' is being copied from another one", name)};
    }
    const auto from = require_template(record.template_name);
    files.emplace(agent_file, json::record_text(core::settings_of(record)));
    if (!from.file.empty()) files.emplace(template_file, template_text(from));
    files.emplace(workspace_file, json::record_text(core::require_workspace(*host, name)));
    const auto deadline = Deadline::after(copy_limit);
    if (memory) {
      copy.emplace(core::copy_agent(*machine(record), record, "export-" + name, deadline, stop));
      host->snapshots.complete(*copy->draft, copy->record);
      core::add_saved(files, copy->record, copy->files, copy->disks);
    } else {
      draft.emplace(host->snapshots.begin("export-" + name, deadline));
      core::copy_workspace(host, name, draft->disks().workspace, stop);
      files.emplace(disk_file, draft->disks().workspace);
    }
  }
  core::write_bundle("agent", files, fd, stop);
}

AgentImport AgentManager::Impl::import_archive(int fd, const AgentImportOptions& options) {
  auto draft = core::import_draft(*host);
  std::optional<sys::TempDir> spool{std::in_place, draft.files().state.parent_path(), "spool-"};
  const core::Bundle bundle{
      fd,
      spool->path(),
      "agent",
      {agent_file, template_file, workspace_file, disk_file, core::saved_record, "state", "memory", "scratch"},
      core::disk_tools(*host, options.stop)};
  auto record = core::settings_of(json::read_record<state::AgentRecord>(bundle.json(agent_file)));
  if (!options.name.empty() && options.name != record.name) {
    record.name = options.name;
    record.publishes = false;
  }
  if (!options.template_name.empty()) record.template_name = options.template_name;
  record.copy = state::CopyStage::Whole;
  static_cast<void>(agents.find(record.name));  // refuses what cannot be a name
  // The host's own network is for people here to give.
  if (record.network && network_mode_from_string(*record.network) != NetworkMode::Nat) record.network.reset();

  const auto turn = lock(record.name);
  require_new(record.name);
  AgentImport made;
  made.agent = record.name;
  made.template_name = record.template_name;
  Rollback undo;
  if (const auto file = give_template(*this, bundle, record.template_name); !file.empty()) {
    undo.push([file] { std::filesystem::remove(file); });
  }
  std::optional<state::SnapshotRecord> saved;
  if (bundle.has(core::saved_record)) {
    saved = core::read_saved(bundle);
    if (!saved->agent) throw Error{ErrorCode::Corrupt, "the archive's memory is not an agent's"};
    made.memory_left_out = core::misfit(*host, *saved);
  }
  if (saved && made.memory_left_out.empty()) {
    saved->name = made.snapshot = core::snapshot_name(record.name);
    auto settings = record;
    if (!settings.network) settings.network = saved->agent->agent.network;
    saved->agent->agent = std::move(settings);
    core::extract_saved(bundle, *saved, draft, options.stop);
    spool.reset();
    host->snapshots.publish(std::move(draft), std::move(*saved), false);
  } else {
    give_workspace(*host, bundle, record.name, options.stop);
    undo.push([&] { handle.workspaces().remove(record.name); });
    agents.put(record);
  }
  undo.commit();
  return made;
}

}  // namespace fireclaw
