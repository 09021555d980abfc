#pragma once

#include <string>

#include "guest/tree/tree.hpp"
#include "processes/users.hpp"

namespace fireclaw::guestd {

/// What a login would give an ordinary user, and programs such as rootless podman take for granted.
struct Login {
  /// /run/user/UID, theirs alone; empty if there is none.
  std::string runtime_folder;
  /// A command that writes "0" to this, while it is still root, is then in the user's own cgroup. Closed if there is
  /// none.
  guest::OwnedFd cgroup;
};

/// Sets that up at the user's first command. The cgroup is /sys/fs/cgroup/user-UID: the user may make others with
/// limits below it. Commands go to "commands" there, because a cgroup that holds processes cannot share out its
/// controllers. Nothing for root, who has all of it; and nothing unless guestd is process 1: elsewhere these things are
/// not its own.
Login log_in(const User& user);

inline constexpr const char* cgroup_root = "/sys/fs/cgroup";

/// Lets cgroups below `path` limit processors, memory and numbers of processes, as far as the kernel can.
void share_controllers(const std::string& path);

}  // namespace fireclaw::guestd
