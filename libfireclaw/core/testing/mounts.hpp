#pragma once

#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "sys/process.hpp"

namespace fireclaw::core::testing {

/// What keeps guests of the stand-in from mounting disks here; empty if nothing does.
inline std::string mounts_obstacle() {
  if (::geteuid() != 0) return "only root can mount disks";
  if (::access("/dev/loop-control", R_OK | W_OK) != 0) return "no loop devices";
  // As a guest is entered: an overlay of this system, which not every file system can be the lower layer of.
  constexpr const char* overlay =
      "mount -t tmpfs changes /mnt && mkdir /mnt/root /mnt/changes /mnt/work && "
      "mount -t overlay -o lowerdir=/,upperdir=/mnt/changes,workdir=/mnt/work root /mnt/root";
  const auto tried = sys::run_tool({"/usr/bin/unshare", "--mount", "--pid", "--fork", "/bin/sh", "-c", overlay}, {});
  return tried.status.success() ? "" : "no namespaces with mounts: " + tried.err;
}

/// Ends the test program as one that cannot run here.
inline void skip_without_mounts() {
  const auto obstacle = mounts_obstacle();
  if (obstacle.empty()) return;
  fmt::print("skipped: {}\n", obstacle);
  std::fflush(stdout);
  std::_Exit(77);
}

}  // namespace fireclaw::core::testing
