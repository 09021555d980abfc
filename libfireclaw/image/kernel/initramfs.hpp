#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "image/kernel/modules.hpp"

namespace fireclaw::image {

/// Kernel modules for an initramfs, in the order in which they are to be loaded, and for which kernel.
struct ModuleSet {
  std::string release;
  std::vector<LoadedModule> modules;
};

/// Whether modules keep the signatures that they came with. Verifying them is most of what loading them costs (of the
/// 260 million instructions for Debian's set, 220), and useless unless the kernel insists on signatures: an attacker
/// who can replace a module can replace /init as well.
enum class Signatures { Keep, Strip };

/// The choice that a kernel's build configuration ("CONFIG_X=y" lines) permits. Keep if there is none.
Signatures signatures_for(std::string_view config);

/// The modules that guests need of those that `tree` has, and those of `more`. Error(InvalidArgument) if the kernel
/// cannot do without one that is not there.
ModuleSet select_modules(const ModuleTree& tree, const std::string& release, Signatures signatures,
                         const std::vector<std::string>& more = {});

/// The initramfs: `guestd` as /init; /fireclaw/modules, which names the modules to load at boot, one absolute path a
/// line, dependencies first; the modules themselves under /lib/modules/<release>. Uncompressed, because unpacking
/// costs an emulated guest more than the larger file costs anybody. The same input gives the same bytes.
std::string make_initramfs(std::string_view guestd, const ModuleSet& modules);

/// The modules of an initramfs that make_initramfs() made. Error(Corrupt) for anything else.
ModuleSet read_initramfs_modules(std::string_view initramfs, std::string_view name);

}  // namespace fireclaw::image
