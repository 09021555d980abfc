#include "boot/disks.hpp"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>

#include "boot/failure.hpp"
#include "boot/uevents.hpp"
#include "guest/tree/tree.hpp"
#include "text.hpp"

namespace fireclaw::guestd {
namespace {

/// How long a disk may take to appear. They are there when the machine starts; its modules may still be settling.
constexpr std::int64_t disk_patience_ms = 10000;

/// In a restored machine the kernel may remember blocks of the disk that the snapshot was made with.
wire::Done forget_blocks(const std::string& device) {
  const guest::OwnedFd disk{open(device.c_str(), O_RDONLY | O_CLOEXEC)};
  if (!disk.open()) return failure(cat({"open the disk ", device}));
  if (ioctl(disk.get(), BLKFLSBUF, 0) < 0) return failure(cat({"flush the buffers of ", device}));
  return {};
}

void make_folders(const std::string& path) {
  for (std::size_t end = path.find('/', 1); end != std::string::npos; end = path.find('/', end + 1))
    mkdir(path.substr(0, end).c_str(), 0755);
  mkdir(path.c_str(), 0755);
}

bool is_same(const wire::Mount& one, const wire::Mount& other) {
  return one.device == other.device && one.type == other.type && one.read_only == other.read_only &&
         one.options == other.options;
}

}  // namespace

wire::Done Disks::mount(const wire::Mount& request) {
  if (wire::Done problem = check_mount(request); problem.error != 0) return problem;
  for (const wire::Mount& mounted : mounts_) {
    if (mounted.target != request.target) continue;
    if (is_same(mounted, request)) return {};
    return {EBUSY, cat({"the disk ", mounted.device, " is mounted on ", mounted.target, " already"})};
  }
  // Its own: those of the ports are theirs to hear of.
  if (Uevents uevents; !uevents.wait_for(request.device.c_str(), disk_patience_ms))
    return {ENODEV, cat({"the disk ", request.device, " did not appear"})};
  if (wire::Done problem = forget_blocks(request.device); problem.error != 0) return problem;
  make_folders(request.target);
  MountOptions options = parse_mount_options(request.options);
  if (request.read_only) options.flags |= MS_RDONLY;
  if (::mount(request.device.c_str(), request.target.c_str(), request.type.c_str(), options.flags,
              options.data.c_str()) < 0)
    return failure(cat({"mount ", request.device, " (", request.type, ") on ", request.target}));
  mounts_.push_back(request);
  return {};
}

wire::Done Disks::unmount(const wire::Unmount& request) {
  if (wire::Done problem = check_unmount(request); problem.error != 0) return problem;
  const auto found = std::find_if(mounts_.begin(), mounts_.end(),
                                  [&](const wire::Mount& mounted) { return mounted.target == request.target; });
  if (found == mounts_.end()) return {ENOENT, cat({"no disk is mounted on ", request.target})};
  if (umount2(request.target.c_str(), UMOUNT_NOFOLLOW) < 0) return failure(cat({"unmount ", request.target}));
  mounts_.erase(found);
  return {};
}

void Disks::finish() {
  // The last first: one may be mounted in another.
  for (; !mounts_.empty(); mounts_.pop_back()) {
    const char* const target = mounts_.back().target.c_str();
    if (umount2(target, UMOUNT_NOFOLLOW) == 0) continue;
    const int busy = errno;
    if (::mount(nullptr, target, nullptr, MS_REMOUNT | MS_RDONLY, nullptr) < 0)
      log({"cannot unmount ", target, " (", error_text(busy), ") or make it read-only: ", error_text(errno)});
  }
}

}  // namespace fireclaw::guestd
