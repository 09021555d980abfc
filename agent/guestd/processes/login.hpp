#pragma once

#include <string>

#include "guest/tree/tree.hpp"
#include "processes/users.hpp"

namespace fireclaw::guestd {

/// The environment that a login gives an ordinary user, and that programs such as rootless podman expect.
struct Login {
  /// /run/user/UID, which only the user can enter; empty if there is none.
  std::string runtime_folder;
  /// A command that writes "0" to this, while it is still root, is then in the user's own cgroup. Closed if there is
  /// none.
  guest::OwnedFd cgroup;
};

/// Sets that up at the user's first command. The cgroup is /sys/fs/cgroup/user-UID: the user may make others with
/// limits below it. Commands go to "commands" there, because a cgroup that holds processes cannot share out its
/// controllers. Does nothing for root, who does not need it, or unless guestd is process 1: elsewhere these things do
/// not belong to it.
Login log_in(const User& user);

inline constexpr const char* cgroup_root = "/sys/fs/cgroup";

/// Lets cgroups below `path` limit processors, memory and numbers of processes, as far as the kernel can.
void share_controllers(const std::string& path);

}  // namespace fireclaw::guestd
