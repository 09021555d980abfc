#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace fireclaw::guestd {

/// guestd's options on the kernel command line; see README.md beside this file.
struct BootOptions {
  struct Mount {
    std::string device;
    std::string target;
    std::string type = "ext4";
    bool read_only = false;
  };
  /// File system of the read-only root; empty: commands run in the initramfs itself.
  std::string rootfs;
  std::string root_device = "/dev/vda";
  /// Size limit of writes over the root, in MiB; 0: half of the memory.
  unsigned long overlay_mib = 0;
  /// A disk that takes writes over the root instead of memory; empty: none.
  std::string scratch_device;
  std::vector<Mount> mounts;
  /// Say on the console how long each step of the boot took.
  bool trace = false;
  /// Options that were not understood, one line each.
  std::vector<std::string> problems;
};

BootOptions parse_boot_options(std::string_view command_line);

}  // namespace fireclaw::guestd
