#include "fireclaw/workspace.hpp"

#include <fcntl.h>

#include <utility>

#include <fmt/format.h>

#include "core/host/impl.hpp"
#include "core/machines/workspace_disk.hpp"
#include "core/workspaces/files.hpp"
#include "core/workspaces/transfer.hpp"
#include "fireclaw/error.hpp"
#include "fireclaw/host.hpp"
#include "image/disks/ext4.hpp"
#include "image/store/store.hpp"

namespace fireclaw {

struct Workspace::Impl {
  std::shared_ptr<Host::Impl> host;
  std::string name;
};

namespace {

constexpr std::uint64_t least_mib = 16;
constexpr std::uint64_t most_mib = std::uint64_t{16} << 20;

std::uint64_t to_bytes(std::uint64_t size_mib) {
  if (size_mib < least_mib || size_mib > most_mib) {
    throw Error{ErrorCode::InvalidArgument,
                fmt::format("a workspace cannot have {} MiB; {} to {} are possible", size_mib, least_mib, most_mib)};
  }
  return size_mib << 20;
}

/// What a new workspace holds: an empty memory.
image::Tree seed(const state::WorkspaceRecord& record) {
  image::Node node;
  node.uid = record.uid;
  node.gid = record.gid;
  node.mtime = std::chrono::system_clock::to_time_t(record.created);
  image::Tree tree;
  tree.add("memory", node);
  node.type = image::NodeType::File;
  node.mode = 0644;
  node.content = std::string{"# Agent Memory\n"};
  node.bytes = std::get<std::string>(node.content).size();
  tree.add("MEMORY.md", node);
  return tree;
}

/// Makes a workspace of what `content(record, draft)` gives, in one step.
template <typename Content>
void make(const Host::Impl& host, const WorkspaceConfig& config, const std::stop_token& stop, Content content) {
  image::check_name(config.name, "a workspace");
  const auto bytes = to_bytes(config.size_mib);
  const auto lock = core::lock_workspace(host, config.name, "making it");
  if (std::filesystem::exists(host.workspaces.directory(config.name))) {
    throw Error{ErrorCode::AlreadyExists, fmt::format("there is a workspace named '{}'", config.name)};
  }
  state::WorkspaceRecord record{config.name, std::chrono::system_clock::now(), config.uid, config.gid};
  auto draft = host.workspaces.draft(config.name);
  {
    // What is needed on the way is not to become part of the workspace.
    const sys::TempDir scratch{draft.path(), "scratch-"};
    core::make_workspace_disk(host, scratch.path(), record, bytes, content(record, scratch.path()), stop);
    sys::move_file(scratch.path() / "disk.ext4", draft.path() / "disk.ext4");
  }
  host.workspaces.publish(std::move(draft), record);
}

WorkspaceInfo describe(const Host::Impl& host, const std::string& name) {
  WorkspaceInfo info;
  info.name = name;
  try {
    const auto record = core::require_workspace(host, name);
    info.created = record.created;
    info.uid = record.uid;
    info.gid = record.gid;
    const auto disk = host.workspaces.disk(name);
    info.disk_bytes = sys::allocated_bytes(disk);
    const auto usage = image::ext4_usage(disk);
    info.size_bytes = usage.bytes;
    info.used_bytes = usage.used_bytes;
    info.clean = usage.clean;
  } catch (const Error& problem) {
    info.problem = problem.what();
  }
  if (const auto user = core::workspace_user(host, name)) {
    info.vm = user->id;
    info.in_use = true;
  } else if (const auto lock = host.workspaces.lock_file(name); std::filesystem::exists(lock)) {
    // Shared, so that two who ask at once do not take each other for users.
    info.in_use = !sys::FileLock::try_acquire(lock, sys::FileLock::Mode::Shared);
  }
  return info;
}

/// The workspace's files, through the machine that has it or on the disk.
std::unique_ptr<core::WorkspaceFiles> open_files(const Workspace::Impl& workspace, std::string_view purpose,
                                                 std::stop_token stop) {
  const auto& host = workspace.host;
  const auto record = core::require_workspace(*host, workspace.name);
  auto lock = core::try_lock_workspace(*host, workspace.name, purpose);
  if (!lock) {
    if (auto user = core::workspace_user(*host, workspace.name)) {
      return core::files_in_guest(host, record, std::move(*user), std::move(stop));
    }
    lock = core::lock_workspace(*host, workspace.name, purpose);
  }
  // It may have been removed, or made again, before the lock was had.
  return core::files_on_disk(host, core::require_workspace(*host, workspace.name), std::move(*lock), std::move(stop));
}

}  // namespace

Workspace::Workspace(std::shared_ptr<const Impl> impl) : impl_{std::move(impl)} {}
Workspace::Workspace(const Workspace&) = default;
Workspace::Workspace(Workspace&&) noexcept = default;
Workspace& Workspace::operator=(const Workspace&) = default;
Workspace& Workspace::operator=(Workspace&&) noexcept = default;
Workspace::~Workspace() = default;

Workspace Workspace::create(const Host& host, const WorkspaceConfig& config) {
  const auto& impl = Access::impl(host);
  make(*impl, config, {}, [](const auto& record, const auto&) { return seed(record); });
  return Workspace{std::make_shared<const Impl>(Impl{impl, config.name})};
}

Workspace Workspace::create_from_tar(const Host& host, const WorkspaceConfig& config, int tar, std::stop_token stop) {
  const auto& impl = Access::impl(host);
  make(*impl, config, stop, [&](const state::WorkspaceRecord& record, const std::filesystem::path& scratch) {
    return core::read_archive(tar, scratch, {record.uid, record.gid}, nullptr, core::disk_tools(*impl, stop));
  });
  return Workspace{std::make_shared<const Impl>(Impl{impl, config.name})};
}

Workspace Workspace::open(const Host& host, const std::string& name) {
  const auto& impl = Access::impl(host);
  static_cast<void>(core::require_workspace(*impl, name));
  return Workspace{std::make_shared<const Impl>(Impl{impl, name})};
}

std::vector<WorkspaceInfo> Workspace::list(const Host& host) {
  const auto& impl = Access::impl(host);
  std::vector<WorkspaceInfo> infos;
  for (const auto& name : impl->workspaces.names()) infos.push_back(describe(*impl, name));
  return infos;
}

void Workspace::remove(const Host& host, const std::string& name) {
  const auto& impl = Access::impl(host);
  image::check_name(name, "a workspace");
  const auto require = [&] {
    if (!std::filesystem::exists(impl->workspaces.directory(name))) core::require_workspace(*impl, name);
  };
  require();
  const auto lock = core::lock_workspace(*impl, name, "removing it");
  require();
  impl->workspaces.remove(name);
}

const std::string& Workspace::name() const { return impl_->name; }

WorkspaceInfo Workspace::info() const {
  static_cast<void>(core::require_workspace(*impl_->host, impl_->name));
  return describe(*impl_->host, impl_->name);
}

WorkspaceCheck Workspace::check() {
  const auto& host = *impl_->host;
  const auto lock = core::lock_workspace(host, impl_->name, "checking it");
  static_cast<void>(core::require_workspace(host, impl_->name));
  auto checked = image::check_ext4(host.workspaces.disk(impl_->name), image::CheckDepth::Full, core::disk_tools(host),
                                   host.logger);
  return {checked.repaired, std::move(checked.report)};
}

void Workspace::resize(std::uint64_t size_mib) {
  const auto& host = *impl_->host;
  const auto bytes = to_bytes(size_mib);
  const auto lock = core::lock_workspace(host, impl_->name, "resizing it");
  static_cast<void>(core::require_workspace(host, impl_->name));
  const auto disk = host.workspaces.disk(impl_->name);
  // A copy is resized: interrupted half-way, shrinking would leave neither the old file system nor the new one.
  const auto draft = host.workspaces.draft(impl_->name);
  const auto copy = draft.path() / "disk.ext4";
  sys::clone_file(disk, copy);
  try {
    image::resize_ext4(copy, bytes, core::disk_tools(host), host.logger);
  } catch (Error& error) {
    error.add_context(fmt::format("resize workspace '{}'", impl_->name));
    throw;
  }
  host.workspaces.replace_disk(impl_->name, copy);
}

CopyResult Workspace::push(const std::filesystem::path& source, const std::string& target, std::stop_token stop) {
  return open_files(*impl_, "copying files", std::move(stop))->push(source, core::normal_path(target));
}

CopyResult Workspace::pull(const std::string& source, const std::filesystem::path& target, std::stop_token stop) {
  return open_files(*impl_, "copying files", std::move(stop))->pull(core::normal_path(source), target);
}

std::string Workspace::read_file(const std::string& path, std::size_t max_bytes) const {
  return open_files(*impl_, "reading a file", {})->read_file(core::normal_path(path), max_bytes);
}

void Workspace::write_file(const std::string& path, std::string_view content, unsigned mode) {
  open_files(*impl_, "writing a file", {})->write_file(core::normal_path(path), content, mode);
}

void Workspace::remove_path(const std::string& path) {
  open_files(*impl_, "removing files", {})->remove_path(core::normal_path(path));
}

void Workspace::export_tar(int fd, std::stop_token stop) const {
  open_files(*impl_, "exporting it", std::move(stop))->export_tar(fd);
}

void Workspace::import_tar(int fd, std::stop_token stop) {
  open_files(*impl_, "importing a tar", std::move(stop))->import_tar(fd);
}

}  // namespace fireclaw
