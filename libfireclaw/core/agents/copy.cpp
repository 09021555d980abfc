#include "core/agents/copy.hpp"

#include <fcntl.h>

#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/units.hpp"
#include "core/machines/disks.hpp"
#include "core/machines/snapshots.hpp"
#include "core/machines/workspace_disk.hpp"
#include "fireclaw/error.hpp"
#include "sys/file.hpp"

namespace fireclaw::core {
namespace {

void sync_file(const std::filesystem::path& file) { sys::sync_fd(sys::open_file(file, O_RDONLY).get(), file); }

/// How much is to be written at most, on a file system where `disks` share no blocks with their copies.
void require_room(std::uint64_t memory_mib,
                  const std::vector<std::pair<std::filesystem::path, std::filesystem::path>>& disks,
                  const std::filesystem::path& folder) {
  auto needed = memory_mib * mib;
  for (const auto& [from, to] : disks) {
    if (!sys::shares_blocks(from, folder)) needed += sys::allocated_bytes(from);
  }
  const auto room = sys::free_bytes(folder);
  if (needed <= room) return;
  throw Error{ErrorCode::Io, fmt::format("its memory and disks take up to {} MiB, and '{}' has room for {} MiB",
                                         (needed + mib - 1) / mib, folder.string(), room / mib)};
}

}  // namespace

Purpose::Continuation AgentCopy::continuation() const {
  return {record, files, disks.scratch, draft.has_value(), workspace};
}

state::AgentRecord settings_of(state::AgentRecord agent) {
  agent.phase = state::AgentPhase::Stopped;
  agent.worker.reset();
  agent.run.clear();
  agent.last_error.clear();
  return agent;
}

AgentCopy copy_agent(VM::Impl& machine, const state::AgentRecord& agent, const std::string& name, Deadline deadline,
                     const std::stop_token& stop) {
  const auto& host = *machine.host;
  const auto workspace = require_workspace(host, machine.record.workspace);
  const auto sizes = disk_sizes(host, machine.record);
  AgentCopy copy;
  copy.record.name = name;
  copy.record.key = machine.snapshot_key();
  copy.record.engine = machine.record.engine;
  copy.record.image = machine.record.image;
  copy.record.created = std::chrono::system_clock::now();
  copy.record.agent = {settings_of(agent), sizes.scratch_bytes, sizes.workspace_bytes, workspace.uid, workspace.gid};

  copy.draft.emplace(host.snapshots.begin(name, deadline));
  copy.files = copy.draft->files();
  copy.disks = copy.draft->disks();
  std::vector<std::pair<std::filesystem::path, std::filesystem::path>> disks{
      {host.workspaces.disk(workspace.name), copy.disks.workspace}};
  if (sizes.scratch_bytes != 0) {
    disks.emplace_back(scratch_disk(host.runs.directory(machine.record.id)), copy.disks.scratch);
  }
  try {
    require_room(machine.record.memory_mib, disks, copy.files.memory.parent_path());
    const auto copy_disks = [&] {
      for (const auto& [from, to] : disks) sys::clone_file(from, to, 0600, {deadline, stop});
    };
    copy.paused_for = machine.save_running(copy.files, copy_disks, deadline, stop);
  } catch (Error& problem) {
    problem.add_context(fmt::format("copy agent '{}'", agent.name));
    throw;
  }
  copy.misfit = misfit(host, copy.record);
  if (sizes.scratch_bytes != 0) sync_file(copy.disks.scratch);
  sync_file(copy.disks.workspace);
  return copy;
}

AgentCopy open_copy(const Host::Impl& host, const std::string& name) {
  image::check_name(name, "a snapshot");
  auto record = host.snapshots.find(name);
  if (!record) {
    throw Error{ErrorCode::NotFound, fmt::format("no snapshot named '{}'; see: fireclaw snapshot list", name)};
  }
  if (!record->agent) {
    throw Error{ErrorCode::InvalidArgument,
                fmt::format("snapshot '{}' is of a machine, not of an agent; those are made with: fireclaw agent "
                            "snapshot NAME",
                            name)};
  }
  AgentCopy copy;
  copy.disks = host.snapshots.disks(*record);
  copy.misfit = core::describe(host, *record).reason;
  if (copy.misfit.empty()) copy.files = host.snapshots.files(*record);
  copy.record = std::move(*record);
  return copy;
}

void require_no_workspace(const Host::Impl& host, const std::string& name) {
  if (!std::filesystem::exists(host.workspaces.directory(name))) return;
  throw Error{ErrorCode::AlreadyExists,
              fmt::format("there is a workspace named '{0}' already; choose another name, or remove it: fireclaw "
                          "workspace remove {0}",
                          name)};
}

void give_workspace(const Host::Impl& host, AgentCopy& copy, const std::string& name) {
  auto lock = lock_workspace(host, name, "making it");
  require_no_workspace(host, name);
  auto draft = host.workspaces.draft(name);
  const auto disk = draft.path() / "disk.ext4";
  if (copy.draft) {
    sys::move_file(copy.disks.workspace, disk);
  } else {
    sys::clone_file(copy.disks.workspace, disk);
    sync_file(disk);
  }
  const auto& saved = *copy.record.agent;
  host.workspaces.publish(std::move(draft),
                          {name, std::chrono::system_clock::now(), saved.workspace_uid, saved.workspace_gid});
  copy.workspace = std::make_shared<WorkspaceDisk>(
      WorkspaceDisk{host.workspaces.disk(name), saved.workspace_bytes, std::move(lock)});
}

}  // namespace fireclaw::core
