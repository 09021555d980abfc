#pragma once

#include <vector>

#include "boot/options.hpp"
#include "boot/uevents.hpp"
#include "guest/tree/tree.hpp"

namespace fireclaw::guestd {

/// Mounts of writable disks, which must be made clean before the machine ends.
using DiskMounts = std::vector<guest::OwnedFd>;

/// Says why on the console and ends the machine: a machine without guestd would hang.
[[noreturn]] void die(std::string_view why);

/// The first steps of process 1: the kernel's file systems and the console.
void boot_kernel_mounts();
/// Loads the modules that /fireclaw/modules names; one that cannot be loaded is reported and left out.
void boot_modules();
/// Makes the root that commands see from the read-only root and a layer above it, and enters it.
DiskMounts boot_root(const BootOptions& options, Uevents& uevents);
/// Sets up what commands expect of any machine: terminals, shared memory, /tmp, /run, loopback.
void boot_environment();

}  // namespace fireclaw::guestd
