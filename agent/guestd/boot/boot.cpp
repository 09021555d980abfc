#include "boot/boot.hpp"

#include <fcntl.h>
#include <linux/module.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "processes/login.hpp"
#include "text.hpp"

namespace fireclaw::guestd {
namespace {

/// How long a disk may take to appear after the modules are loaded.
constexpr std::int64_t disk_patience_ms = 10000;

bool mount_at(const char* source, const char* target, const char* type, unsigned long flags, const char* data = "") {
  mkdir(target, 0755);
  return mount(source, target, type, flags, data) == 0;
}

void require_mount(const char* source, const char* target, const char* type, unsigned long flags,
                   const char* data = "") {
  // EBUSY: it is mounted already (devtmpfs, by the kernel).
  if (!mount_at(source, target, type, flags, data) && errno != EBUSY)
    die(cat({"cannot mount ", type, " on ", target, ": ", error_text(errno)}));
}

void try_mount(const char* source, const char* target, const char* type, unsigned long flags, const char* data = "") {
  if (!mount_at(source, target, type, flags, data) && errno != EBUSY)
    log({"cannot mount ", type, " on ", target, ": ", error_text(errno)});
}

void load_module(const std::string& path) {
  const guest::OwnedFd file{open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (!file.open()) return log({"cannot open the module ", path, ": ", error_text(errno)});
  // ENODEV: this machine has nothing for it to drive.
  if (syscall(SYS_finit_module, file.get(), "", 0) < 0 && errno != EEXIST && errno != ENODEV)
    log({"cannot load the module ", path, ": ", error_text(errno)});
  // Its memory is better used by commands.
  unlink(path.c_str());
}

void mount_disk(Uevents& uevents, const std::string& device, const std::string& target, const std::string& type,
                bool read_only) {
  if (!uevents.wait_for(device.c_str(), disk_patience_ms)) die(cat({"the disk ", device, " did not appear"}));
  mkdir(target.c_str(), 0755);
  const unsigned long flags = read_only ? MS_RDONLY : 0;
  if (mount(device.c_str(), target.c_str(), type.c_str(), flags, "") < 0)
    die(cat({"cannot mount ", device, " (", type, ") on ", target, ": ", error_text(errno)}));
}

void keep(DiskMounts& disks, const std::string& path) {
  disks.emplace_back(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

/// The root of commands: `/lower` read-only, with a layer of its own above it.
void mount_overlay(const BootOptions& options, Uevents& uevents, DiskMounts& disks) {
  if (options.scratch_device.empty()) {
    const std::string size = options.overlay_mib == 0
                                 ? std::string{"size=50%,mode=755"}
                                 : cat({"size=", std::to_string(options.overlay_mib), "m,mode=755"});
    require_mount("overlay", "/upper", "tmpfs", 0, size.c_str());
  } else {
    mount_disk(uevents, options.scratch_device, "/upper", "ext4", false);
    keep(disks, "/upper");
  }
  mkdir("/upper/upper", 0755);
  mkdir("/upper/work", 0755);
  require_mount("overlay", "/root-of-commands", "overlay", 0,
                "lowerdir=/lower,upperdir=/upper/upper,workdir=/upper/work");
}

}  // namespace

void die(std::string_view why) {
  log({why, "; the machine ends here"});
  sync();
  reboot(RB_AUTOBOOT);
  _exit(1);
}

void boot_kernel_mounts() {
  umask(022);
  require_mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC);
  require_mount("sys", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC);
  require_mount("dev", "/dev", "devtmpfs", MS_NOSUID, "mode=755");
  const int console = open("/dev/console", O_RDWR | O_NOCTTY);
  for (int number = 0; number < 3; ++number)
    if (console >= 0 && console != number) dup2(console, number);
  if (console > 2) close(console);
  // Should guestd ever crash, the machine ends instead of hanging.
  write_file("/proc/sys/kernel/panic", "-1");
}

void boot_modules() {
  std::string list;
  if (!read_file("/fireclaw/modules", list)) return;
  for (const std::string_view path : split(list, '\n')) load_module(std::string{path});
}

DiskMounts boot_root(const BootOptions& options, Uevents& uevents) {
  DiskMounts disks;
  if (!options.rootfs.empty()) {
    mount_disk(uevents, options.root_device, "/lower", options.rootfs, true);
    mount_overlay(options, uevents, disks);
    for (const char* name : {"/proc", "/sys", "/dev"}) {
      const std::string target = cat({"/root-of-commands", name});
      mkdir(target.c_str(), 0755);
      if (mount(name, target.c_str(), nullptr, MS_MOVE, nullptr) < 0)
        die(cat({"cannot move ", name, ": ", error_text(errno)}));
    }
    if (chdir("/root-of-commands") < 0 || mount(".", "/", nullptr, MS_MOVE, nullptr) < 0 || chroot(".") < 0 ||
        chdir("/") < 0)
      die(cat({"cannot enter the root file system: ", error_text(errno)}));
  }
  for (const BootOptions::Mount& wanted : options.mounts) {
    mount_disk(uevents, wanted.device, wanted.target, wanted.type, wanted.read_only);
    if (!wanted.read_only) keep(disks, wanted.target);
  }
  return disks;
}

void boot_environment() {
  try_mount("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=620,gid=5");
  try_mount("shm", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777");
  try_mount("tmp", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777");
  try_mount("run", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755");
  // guestd lays a file over one of /proc (the boot id). Where the only proc to be seen has something hidden, the kernel
  // lets nobody mount one in a user namespace, and so no container start. This one has nothing laid over it.
  mkdir("/run/fireclaw", 0755);
  try_mount("proc", "/run/fireclaw/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC);
  try_mount("cgroup2", cgroup_root, "cgroup2", MS_NOSUID | MS_NODEV | MS_NOEXEC);
  share_controllers(cgroup_root);
  // What is mounted later also appears in containers that run already.
  if (mount(nullptr, "/", nullptr, MS_REC | MS_SHARED, nullptr) < 0) log({"cannot share mounts: ", error_text(errno)});
  // As udev would: a process that opens these gets a file system or, in a network namespace of their own, an interface.
  for (const char* device : {"/dev/fuse", "/dev/net/tun"})
    if (chmod(device, 0666) < 0 && errno != ENOENT) log({"cannot open ", device, " to all: ", error_text(errno)});
  // ping without privileges.
  write_file("/proc/sys/net/ipv4/ping_group_range", "0 2147483647");
  constexpr std::array<std::pair<const char*, const char*>, 4> links = {{{"/proc/self/fd", "/dev/fd"},
                                                                         {"/proc/self/fd/0", "/dev/stdin"},
                                                                         {"/proc/self/fd/1", "/dev/stdout"},
                                                                         {"/proc/self/fd/2", "/dev/stderr"}}};
  for (const auto& [target, link] : links)
    if (symlink(target, link) < 0 && errno != EEXIST) log({"cannot create ", link, ": ", error_text(errno)});

  // What commands may open: the kernel's own limit for process 1 is that of the 1990s.
  const rlimit files{8192, 524288};
  setrlimit(RLIMIT_NOFILE, &files);

  constexpr std::string_view name = "fireclaw";
  if (sethostname(name.data(), name.size()) < 0) log({"cannot set the host name: ", error_text(errno)});
  const guest::OwnedFd any{socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  ifreq request{};
  std::memcpy(request.ifr_name, "lo", 3);
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  if (any.open() && ioctl(any.get(), SIOCSIFFLAGS, &request) < 0)
    log({"cannot start the loopback interface: ", error_text(errno)});
}

}  // namespace fireclaw::guestd
