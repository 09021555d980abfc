#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>
#include <vector>

#include "sys/fd.hpp"

namespace fireclaw::sys {

/// How another user is let at a device, in a sandbox that gives it a user of its own.
enum class DeviceAccess {
  Everybody,  ///< the device as it is
  Group,      ///< the same, as a member of its group
  OwnNode,    ///< a node in its own root, which is that user's: the device is for its owner, or for the caller's group
};
/// `mode` and `group` are the device's; the caller's own group is not given away.
DeviceAccess device_access(mode_t mode, gid_t group, gid_t own_group) noexcept;

/// Why a sandbox cannot let its user at the device, found out by trying; empty if it can, or if there is no such
/// device. For root: others give nobody a node.
std::string device_obstacle(const std::filesystem::path& device, uid_t user);

/// A device that a root has its own node of.
struct DeviceNode {
  std::filesystem::path path;
  dev_t number = 0;
};

/// A file system in memory, mounted nowhere yet, for the root of a sandbox: nodes of devices, which are `owner`'s
/// alone. It takes CAP_SYS_ADMIN and CAP_MKNOD on the host.
Fd make_root_with(const std::vector<DeviceNode>& nodes, uid_t owner);

}  // namespace fireclaw::sys
