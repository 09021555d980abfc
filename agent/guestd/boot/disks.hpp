#pragma once

#include <string>
#include <vector>

#include "guest/wire/wire.hpp"

namespace fireclaw::guestd {

namespace wire = guest::wire;

/// The disks that are mounted at the host's request while the machine runs.
class Disks {
 public:
  /// Waits for the disk to appear. The same request again is a success; another one for the same place is EBUSY.
  wire::Done mount(const wire::Mount& request);
  wire::Done unmount(const wire::Unmount& request);
  /// Call before the machine ends: unmounts all, or at least makes them read-only, so that each is marked as clean.
  void finish();

 private:
  std::vector<wire::Mount> mounts_;
};

/// Checks the request; changes nothing.
wire::Done check_mount(const wire::Mount& request);
wire::Done check_unmount(const wire::Unmount& request);

/// Options of mount -o in the terms of mount(2).
struct MountOptions {
  unsigned long flags = 0;
  std::string data;
};
MountOptions parse_mount_options(std::string_view options);

}  // namespace fireclaw::guestd
