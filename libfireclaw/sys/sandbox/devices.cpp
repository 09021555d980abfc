#include "sys/sandbox/devices.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "sys/file.hpp"

namespace fireclaw::sys {
namespace {

constexpr mode_t folder_mode = 0755;
constexpr mode_t node_mode = 0600;

/// An empty file system in memory that is mounted nowhere yet.
Fd make_root() {
  const auto checked = [](long result) { return static_cast<int>(check(result, "make a root with devices")); };
  const Fd context{checked(::syscall(SYS_fsopen, "tmpfs", FSOPEN_CLOEXEC))};
  for (const auto& [name, value] : {std::pair{"mode", "0755"}, std::pair{"size", "1m"}}) {
    checked(::syscall(SYS_fsconfig, context.get(), FSCONFIG_SET_STRING, name, value, 0));
  }
  checked(::syscall(SYS_fsconfig, context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0));
  return Fd{checked(::syscall(SYS_fsmount, context.get(), FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC))};
}

/// The caller's mask of modes must not count: the node's user goes through these folders.
void make_parents(const Fd& root, const std::filesystem::path& path) {
  std::filesystem::path at;
  for (const auto& part : path.parent_path().relative_path()) {
    at /= part;
    if (::mkdirat(root.get(), at.c_str(), folder_mode) != 0 && errno != EEXIST) {
      throw_errno(fmt::format("make folder '{}' in a root", at.string()));
    }
    check(::fchmodat(root.get(), at.c_str(), folder_mode, 0), fmt::format("open up '{}' in a root", at.string()));
  }
}

}  // namespace

DeviceAccess device_access(mode_t mode, gid_t group, gid_t own_group) noexcept {
  constexpr mode_t all = S_IROTH | S_IWOTH;
  constexpr mode_t members = S_IRGRP | S_IWGRP;
  if ((mode & all) == all) return DeviceAccess::Everybody;
  if ((mode & members) == members && group != own_group) return DeviceAccess::Group;
  return DeviceAccess::OwnNode;
}

Fd make_root_with(const std::vector<DeviceNode>& nodes, uid_t owner) {
  auto root = make_root();
  for (const auto& node : nodes) {
    make_parents(root, node.path);
    const auto name = node.path.relative_path();
    check(::mknodat(root.get(), name.c_str(), S_IFCHR | node_mode, node.number),
          fmt::format("make a node of '{}'", node.path.string()));
    check(::fchownat(root.get(), name.c_str(), owner, owner, AT_SYMLINK_NOFOLLOW),
          fmt::format("give away the node of '{}'", node.path.string()));
  }
  return root;
}

std::string device_obstacle(const std::filesystem::path& device, uid_t user) {
  struct stat status {};
  if (::stat(device.c_str(), &status) != 0) return {};
  if (device_access(status.st_mode, status.st_gid, ::getegid()) != DeviceAccess::OwnNode) return {};
  try {
    make_root_with({{device, status.st_rdev}}, user);
    return {};
  } catch (const Error& problem) {
    return fmt::format("{} is for its owner alone: {}", device.string(), problem.what());
  }
}

}  // namespace fireclaw::sys
