#include "fireclaw/workspace.hpp"

#include <unistd.h>

#include <utility>

#include <fmt/format.h>

#include "core/host/impl.hpp"
#include "core/machines/workspace_disk.hpp"
#include "core/workspaces/files.hpp"
#include "core/workspaces/transfer.hpp"
#include "fireclaw/collections.hpp"
#include "fireclaw/error.hpp"
#include "image/disks/ext4.hpp"
#include "image/store/store.hpp"

namespace fireclaw {

struct Workspace::Impl {
  std::shared_ptr<Host::Impl> host;
  std::string name;

  [[nodiscard]] std::unique_ptr<core::WorkspaceFiles> files(std::string_view purpose, std::stop_token stop) const {
    return core::open_files(host, name, purpose, std::move(stop));
  }
};

namespace {

constexpr std::uint64_t least_mib = 16;
constexpr std::uint64_t most_mib = std::uint64_t{16} << 20;

std::uint64_t to_bytes(std::uint64_t size_mib) {
  if (size_mib < least_mib || size_mib > most_mib) {
    throw Error{ErrorCode::InvalidArgument,
                fmt::format("a workspace must be {} to {} MiB, not {}", least_mib, most_mib, size_mib)};
  }
  return size_mib << 20;
}

/// Makes a workspace in one step. `make_disk(disk, record, bytes, scratch)` makes its disk.
template <typename MakeDisk>
void make(const Host::Impl& host, const WorkspaceConfig& config, MakeDisk make_disk) {
  image::check_name(config.name, "a workspace");
  const auto bytes = to_bytes(config.size_mib);
  const auto lock = core::lock_workspace(host, config.name, "making it");
  if (std::filesystem::exists(host.workspaces.directory(config.name))) {
    throw Error{ErrorCode::AlreadyExists, fmt::format("there is a workspace named '{}'", config.name)};
  }
  const state::WorkspaceRecord record{config.name, std::chrono::system_clock::now(), config.uid, config.gid};
  auto draft = host.workspaces.draft(config.name);
  {
    // What is needed on the way is not to become part of the workspace.
    const sys::TempDir scratch{draft.path(), "scratch-"};
    make_disk(draft.path() / "disk.ext4", record, bytes, scratch.path());
  }
  host.workspaces.publish(std::move(draft), record);
}

WorkspaceInfo info_of(const Host::Impl& host, const std::string& name) {
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

}  // namespace

namespace core {

std::unique_ptr<WorkspaceFiles> open_files(const std::shared_ptr<Host::Impl>& host, const std::string& name,
                                           std::string_view purpose, std::stop_token stop) {
  auto record = require_workspace(*host, name);
  auto lock = wait_for_workspace(*host, name, purpose, stop);
  if (!lock) {
    auto user = workspace_user(*host, name);
    if (!user) throw workspace_in_use(*host, name);
    // Taken hold of as a detached machine is: it lives on when this is over.
    return files_in_guest(std::make_shared<VM::Impl>(host, std::move(*user)), std::move(record), std::move(stop));
  }
  // It may have been removed, or made again, before the lock was had.
  return files_in_machine(host, require_workspace(*host, name), std::move(*lock), std::move(stop));
}

}  // namespace core

Workspace::Workspace(std::shared_ptr<const Impl> impl) : impl_{std::move(impl)} {}
Workspace::Workspace(const Workspace&) = default;
Workspace::Workspace(Workspace&&) noexcept = default;
Workspace& Workspace::operator=(const Workspace&) = default;
Workspace& Workspace::operator=(Workspace&&) noexcept = default;
Workspace::~Workspace() = default;

Workspace Workspaces::create(const WorkspaceConfig& config) const {
  const auto& impl = Access::impl(host_);
  make(*impl, config, [&](const auto& disk, const auto& record, std::uint64_t bytes, const auto& scratch) {
    core::make_workspace_disk(impl, disk, record, bytes, scratch);
  });
  return Workspace{std::make_shared<const Workspace::Impl>(Workspace::Impl{impl, config.name})};
}

Workspace Workspaces::create_from_tar(const WorkspaceConfig& config, int tar, std::stop_token stop) const {
  const auto& impl = Access::impl(host_);
  make(*impl, config, [&](const auto& disk, const auto& record, std::uint64_t bytes, const auto& /*scratch*/) {
    core::make_workspace_disk_of_tar(impl, disk, record, bytes, tar, stop);
  });
  return Workspace{std::make_shared<const Workspace::Impl>(Workspace::Impl{impl, config.name})};
}

Workspace Workspaces::open(const std::string& name) const {
  const auto& impl = Access::impl(host_);
  static_cast<void>(core::require_workspace(*impl, name));
  return Workspace{std::make_shared<const Workspace::Impl>(Workspace::Impl{impl, name})};
}

std::vector<WorkspaceInfo> Workspaces::list() const {
  const auto& impl = Access::impl(host_);
  std::vector<WorkspaceInfo> infos;
  for (const auto& name : impl->workspaces.names()) infos.push_back(info_of(*impl, name));
  return infos;
}

void Workspaces::remove(const std::string& name) const {
  const auto& impl = Access::impl(host_);
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
  return info_of(*impl_->host, impl_->name);
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
  const auto inside = core::normal_path(target);
  // Found out before a machine is started for it.
  static_cast<void>(sys::check(::access(source.c_str(), F_OK), fmt::format("read '{}'", source.native())));
  return impl_->files("copying files", std::move(stop))->push(source, inside);
}

CopyResult Workspace::pull(const std::string& source, const std::filesystem::path& target, std::stop_token stop) {
  const auto inside = core::normal_path(source);
  return impl_->files("copying files", std::move(stop))->pull(inside, target);
}

std::string Workspace::read_file(const std::string& path, std::size_t max_bytes) const {
  const auto inside = core::normal_path(path);
  return impl_->files("reading a file", {})->read_file(inside, max_bytes);
}

void Workspace::write_file(const std::string& path, std::string_view content, unsigned mode) {
  const auto inside = core::normal_path(path);
  impl_->files("writing a file", {})->write_file(inside, content, mode);
}

void Workspace::remove_path(const std::string& path) {
  const auto inside = core::normal_path(path);
  if (inside.empty()) throw Error{ErrorCode::InvalidArgument, "the disk's own root cannot be removed"};
  impl_->files("removing files", {})->remove_path(inside);
}

void Workspace::export_tar(int fd, std::stop_token stop) const {
  impl_->files("exporting it", std::move(stop))->export_tar(fd, core::Rights::LeaveOut);
}

void Workspace::export_raw_tar(int fd, std::stop_token stop) const {
  impl_->files("exporting it", std::move(stop))->export_tar(fd, core::Rights::Keep);
}

void Workspace::import_tar(int fd, std::stop_token stop) {
  impl_->files("importing a tar", std::move(stop))->import_tar(fd);
}

}  // namespace fireclaw
