#include "sys/sandbox/layout.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "sys/file.hpp"
#include "sys/process.hpp"

namespace fireclaw::sys {
namespace {

using Kind = SandboxEntry::Kind;
using child::Operation;

/// Ids within the user namespace: the calling user, the one that the program runs as, and groups of devices.
constexpr unsigned inner_self = 0;
constexpr unsigned inner_user = 1;
constexpr unsigned inner_first_group = 2;

constexpr std::chrono::seconds map_limit{10};

std::uint64_t attributes_of(Kind kind) {
  switch (kind) {
    case Kind::ReadOnly: return MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
    case Kind::ReadWrite: return MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
    case Kind::Device: return MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC;
    case Kind::Folder:
    case Kind::Link: break;
  }
  return 0;
}

/// As mountpoints are named: from the new root.
std::string below_root(const std::filesystem::path& path) { return path.relative_path().string(); }

child::Limit limit(int resource, std::uint64_t value) {
  rlimit current{};
  // What is lower already stays so.
  if (::getrlimit(static_cast<__rlimit_resource>(resource), &current) == 0 && current.rlim_max != RLIM_INFINITY) {
    value = std::min<std::uint64_t>(value, current.rlim_max);
  }
  return {resource, value};
}

void write_map(pid_t pid, std::string_view file, const std::string& text) {
  const auto path = fmt::format("/proc/{}/{}", pid, file);
  const Fd map = open_file(path, O_WRONLY);
  // The kernel takes a map in one piece only.
  const auto written = retry([&] { return ::write(map.get(), text.data(), text.size()); });
  check(written, fmt::format("write '{}' to {}", text, path));
}

}  // namespace

SandboxLayout::SandboxLayout(const Sandbox& plan) : plan_{plan} {
  limits_ = {limit(RLIMIT_FSIZE, plan.limits.file_bytes), limit(RLIMIT_NOFILE, plan.limits.open_files),
             limit(RLIMIT_MEMLOCK, plan.limits.locked_bytes), limit(RLIMIT_CORE, 0)};
  switch (plan.level) {
    case Confinement::None: break;
    case Confinement::Landlock: ruleset_ = make_ruleset(plan); break;
    case Confinement::Full:
      for (const auto& entry : plan.entries) add(entry);
      add_groups();
      if (!nodes_.empty()) root_ = make_root_with(nodes_, *plan.user);
      break;
  }
  if (!plan.cgroup.empty()) cgroup_ = open_file(plan.cgroup / "cgroup.procs", O_WRONLY);
  const bool changes_user = plan.level == Confinement::Full && plan.user.has_value();
  entry_ = {.namespaces = plan.level == Confinement::Full,
            .root = root_ ? root_->get() : -1,
            .operations = operations_.data(),
            .operation_count = operations_.size(),
            .user = changes_user ? static_cast<long>(inner_user) : -1,
            .set_groups = changes_user && (::geteuid() == 0 || device_groups_.empty()),
            .groups = inner_groups_.data(),
            .group_count = inner_groups_.size(),
            .limits = limits_.data(),
            .limit_count = limits_.size(),
            .ruleset = ruleset_ ? ruleset_->get() : -1,
            .step = nullptr,
            .step_path = nullptr};
}

bool SandboxLayout::add_device(const std::filesystem::path& path, const struct stat& status) {
  if (!plan_.user) return true;
  switch (device_access(status.st_mode, status.st_gid, ::getegid())) {
    case DeviceAccess::Everybody: return true;
    case DeviceAccess::Group:
      if (std::ranges::find(device_groups_, status.st_gid) == device_groups_.end()) {
        device_groups_.push_back(status.st_gid);
      }
      return true;
    case DeviceAccess::OwnNode: break;
  }
  // Only root can make nodes.
  if (::geteuid() != 0) return true;
  nodes_.push_back({path, status.st_rdev});
  return false;
}

void SandboxLayout::add_groups() {
  // Only root can map groups that are not its own. Others keep the groups that they have.
  if (::geteuid() != 0) return;
  for (std::size_t i = 0; i < device_groups_.size(); ++i) {
    inner_groups_.push_back(inner_first_group + static_cast<gid_t>(i));
  }
}

void SandboxLayout::add_parents(const std::filesystem::path& path) {
  std::filesystem::path at;
  for (const auto& part : path.parent_path().relative_path()) {
    at /= part;
    if (std::ranges::find(folders_, at.string()) != folders_.end()) continue;
    folders_.push_back(at.string());
    operations_.push_back({Operation::Kind::MakeFolder, keep(at.string()), nullptr, 0, -1});
  }
}

void SandboxLayout::add(const SandboxEntry& entry) {
  if (!entry.path.is_absolute() || entry.path.lexically_normal() != entry.path) {
    throw Error{ErrorCode::InvalidArgument,
                fmt::format("'{}' cannot be in a sandbox: it is not a plain absolute path", entry.path.string())};
  }
  struct stat status {};
  const bool found =
      entry.kind == Kind::Folder ||
      (entry.kind == Kind::Link ? ::lstat(entry.path.c_str(), &status) : ::stat(entry.path.c_str(), &status)) == 0;
  if (!found) {
    if (entry.optional) return;
    throw_errno(fmt::format("look at '{}' for a sandbox", entry.path.string()));
  }
  add_parents(entry.path);
  const char* path = keep(below_root(entry.path));
  switch (entry.kind) {
    case Kind::Folder:
      folders_.emplace_back(path);
      operations_.push_back({Operation::Kind::MakeFolder, path, nullptr, 0, -1});
      return;
    case Kind::Link:
      operations_.push_back(
          {Operation::Kind::MakeLink, path, keep(std::filesystem::read_symlink(entry.path).string()), 0, -1});
      return;
    case Kind::Device:
      if (!add_device(entry.path, status)) return;
      break;
    case Kind::ReadOnly:
    case Kind::ReadWrite: break;
  }
  if (S_ISDIR(status.st_mode)) {
    folders_.emplace_back(path);
    operations_.push_back({Operation::Kind::MakeFolder, path, nullptr, 0, -1});
  } else {
    operations_.push_back({Operation::Kind::MakeFile, path, nullptr, 0, -1});
  }
  operations_.push_back({Operation::Kind::Attach, path, keep(entry.path.string()), attributes_of(entry.kind), -1});
}

void SandboxLayout::map_ids(pid_t pid, const std::vector<std::filesystem::path>& search_path) const {
  const uid_t uid = ::geteuid();
  const gid_t gid = ::getegid();
  if (!plan_.user) {
    write_map(pid, "setgroups", "deny");
    write_map(pid, "uid_map", fmt::format("{} {} 1\n", inner_self, uid));
    write_map(pid, "gid_map", fmt::format("{} {} 1\n", inner_self, gid));
    return;
  }
  if (uid == 0) {
    auto groups = fmt::format("{} {} 1\n{} {} 1\n", inner_self, gid, inner_user, *plan_.user);
    for (std::size_t i = 0; i < device_groups_.size(); ++i) {
      groups += fmt::format("{} {} 1\n", inner_groups_[i], device_groups_[i]);
    }
    write_map(pid, "uid_map", fmt::format("{} {} 1\n{} {} 1\n", inner_self, uid, inner_user, *plan_.user));
    write_map(pid, "gid_map", groups);
    return;
  }
  // The maps of others than oneself are written by programs that know who was given which ids. They take longer than
  // all the rest, so they run side by side.
  const auto start = [&](const char* tool, unsigned self) {
    SpawnSpec spec;
    spec.argv = {tool, std::to_string(pid),        std::to_string(inner_self),  std::to_string(self),
                 "1",  std::to_string(inner_user), std::to_string(*plan_.user), "1"};
    spec.search_path = search_path;
    // By this thread: the one that starts children for others may be what waits here.
    spec.die_with_parent = false;
    return Child::spawn(spec);
  };
  const auto finish = [&](Child& tool, const char* name) {
    const auto status = tool.wait(Deadline::after(std::chrono::nanoseconds{map_limit}));
    if (status && status->success()) return;
    throw Error{ErrorCode::PermissionDenied,
                fmt::format("{} cannot give user {} to a process: it {}; see /etc/subuid and /etc/subgid", name,
                            *plan_.user, status ? status->describe() : "hangs")};
  };
  auto users = start("newuidmap", uid);
  auto groups = start("newgidmap", gid);
  finish(users, "newuidmap");
  finish(groups, "newgidmap");
}

}  // namespace fireclaw::sys
