#include "image/kernel/initramfs.hpp"

#include <fmt/format.h>

#include <array>
#include <set>

#include "fireclaw/error.hpp"
#include "image/archives/cpio.hpp"

namespace fireclaw::image {

namespace {

struct Wanted {
  const char* name;
  bool required;
};

// By purpose. A kernel has each built in, as a module, or not at all.
constexpr std::array wanted{
    // buses: PCI on QEMU's ordinary machines, MMIO on Firecracker and QEMU's microvm
    Wanted{"virtio_pci", false},
    Wanted{"virtio_mmio", false},
    // the root drive and what is laid over it
    Wanted{"virtio_blk", true},
    Wanted{"squashfs", true},
    Wanted{"overlay", true},
    // scratch disks and workspaces
    Wanted{"ext4", false},
    // the channel to the host: virtio-serial ports on QEMU, vsock on Firecracker
    Wanted{"virtio_console", false},
    Wanted{"vmw_vsock_virtio_transport", false},
    // random numbers and the network
    Wanted{"virtio_rng", false},
    Wanted{"virtio_net", false},
    // free memory goes back to the host, on Firecracker
    Wanted{"virtio_balloon", false},
    // the host's time, on KVM
    Wanted{"ptp_kvm", false},
};

constexpr std::string_view list_path = "fireclaw/modules";
constexpr std::string_view modules_folder = "lib/modules/";

/// Adds a path's missing parents.
void add_parents(CpioWriter& cpio, std::set<std::string>& made, std::string_view path) {
  for (std::size_t slash = path.find('/'); slash != std::string_view::npos; slash = path.find('/', slash + 1)) {
    if (made.emplace(path.substr(0, slash)).second) cpio.directory(path.substr(0, slash));
  }
}

}  // namespace

Signatures signatures_for(std::string_view config) {
  const auto enabled = [&](std::string_view option) {
    return fmt::format("\n{}", config).find(fmt::format("\n{}=y\n", option)) != std::string::npos;
  };
  if (config.empty() || enabled("CONFIG_MODULE_SIG_FORCE") || enabled("CONFIG_LOCK_DOWN_KERNEL_FORCE_INTEGRITY") ||
      enabled("CONFIG_LOCK_DOWN_KERNEL_FORCE_CONFIDENTIALITY")) {
    return Signatures::Keep;
  }
  return Signatures::Strip;
}

ModuleSet select_modules(const ModuleTree& tree, const std::string& release, Signatures signatures,
                         const std::vector<std::string>& more) {
  std::vector<std::string> names;
  for (const Wanted& module : wanted) {
    if (module.required && !tree.provides(module.name)) {
      throw Error{ErrorCode::InvalidArgument,
                  fmt::format("kernel {} has no '{}', neither built in nor as a module; choose another kernel", release,
                              module.name)};
    }
    names.emplace_back(module.name);
  }
  names.insert(names.end(), more.begin(), more.end());
  ModuleSet set{release, tree.resolve(names)};
  if (signatures == Signatures::Strip) {
    for (LoadedModule& module : set.modules) strip_signature(module.bytes);
  }
  return set;
}

std::string make_initramfs(std::string_view guestd, const ModuleSet& set) {
  CpioWriter cpio;
  for (const char* folder : {"dev", "proc", "run", "sys", "fireclaw"}) cpio.directory(folder);
  cpio.file("init", 0755, guestd);
  std::set<std::string> made;
  std::string list;
  for (const LoadedModule& module : set.modules) {
    const std::string path = fmt::format("{}{}/{}", modules_folder, set.release, module.path);
    add_parents(cpio, made, path);
    cpio.file(path, 0644, module.bytes);
    list += fmt::format("/{}\n", path);
  }
  cpio.file(list_path, 0644, list);
  return cpio.take();
}

ModuleSet read_initramfs_modules(std::string_view initramfs, std::string_view name) {
  ModuleSet set;
  std::vector<CpioEntry> entries = read_cpio(initramfs, name);
  std::string_view list;
  for (const CpioEntry& entry : entries) {
    if (entry.path == list_path) list = entry.content;
  }
  while (!list.empty()) {
    const std::size_t end = list.find('\n');
    const std::string_view line = list.substr(0, end);
    for (const CpioEntry& entry : entries) {
      if (line.substr(0, 1) != "/" || entry.path != line.substr(1)) continue;
      std::string_view rest = line.substr(1);
      const std::size_t slash = rest.find('/', modules_folder.size());
      if (rest.substr(0, modules_folder.size()) != modules_folder || slash == std::string_view::npos) break;
      set.release = std::string{rest.substr(modules_folder.size(), slash - modules_folder.size())};
      rest.remove_prefix(slash + 1);
      const std::string file{rest.substr(rest.rfind('/') + 1)};
      set.modules.push_back(
          LoadedModule{module_name(file.substr(0, file.rfind(".ko"))), std::string{rest}, std::string{entry.content}});
    }
    if (end == std::string_view::npos) break;
    list.remove_prefix(end + 1);
  }
  return set;
}

}  // namespace fireclaw::image
