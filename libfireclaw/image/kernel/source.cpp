#include "image/kernel/source.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "base/text.hpp"
#include "fireclaw/error.hpp"
#include "http/download.hpp"
#include "image/kernel/kernel.hpp"
#include "sys/file.hpp"

namespace fireclaw::image {

namespace {

namespace fs = std::filesystem;

template <typename... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <typename... F>
Overloaded(F...) -> Overloaded<F...>;

/// What the kernel has built in. A packed kernel must be unpacked to be looked into.
BuiltinVirtio look_inside(const fs::path& file, const KernelInfo& info, const KernelContext& context) {
  if (info.format == KernelFormat::Elf) return find_builtin_virtio(sys::read_file(file, std::size_t{1} << 30));
  const fs::path unpacked = context.tools.temp / "vmlinux-inspected";
  extract_vmlinux(file, unpacked, context.tools);
  const BuiltinVirtio found = find_builtin_virtio(sys::read_file(unpacked, std::size_t{1} << 30));
  fs::remove(unpacked);
  return found;
}

/// A kernel that has all it needs built in.
FetchedKernel take_monolithic(const fs::path& file, KernelInfo info, const KernelContext& context) {
  const BuiltinVirtio builtin = look_inside(file, info, context);
  if (builtin.mmio_by_command_line) {
    info.bus = VirtioBus::Mmio;
  } else if (builtin.pci) {
    info.bus = VirtioBus::Pci;
  } else {
    throw Error{ErrorCode::InvalidArgument,
                fmt::format("kernel '{}' ({}) has no virtio devices built in; name the folder of its modules, "
                            "/lib/modules/{}",
                            file.string(), info.release, info.release)};
  }
  ModuleSet none;
  none.release = info.release;
  return FetchedKernel{file, std::move(info), std::move(none)};
}

FetchedKernel take_modular(const fs::path& file, KernelInfo info, const fs::path& modules, std::string_view config,
                           const KernelContext& context) {
  const ModuleTree tree{modules, context.tools};
  if (tree.provides("virtio_pci")) {
    info.bus = VirtioBus::Pci;
  } else if (look_inside(file, info, context).mmio_by_command_line) {
    info.bus = VirtioBus::Mmio;
  } else {
    throw Error{ErrorCode::InvalidArgument,
                fmt::format("kernel '{}' ({}) has virtio neither on PCI nor on MMIO", file.string(), info.release)};
  }
  for (const std::string& name : context.modules) {
    if (tree.provides(name)) continue;
    context.logger.warning(fmt::format(
        "kernel {} has no '{}', neither built in nor as a module; what the image wants it for will not work",
        info.release, name));
  }
  ModuleSet set = select_modules(tree, info.release, signatures_for(config), context.modules);
  return FetchedKernel{file, std::move(info), std::move(set)};
}

/// A kernel's configuration where distributions put it: beside the kernel or among its modules.
std::string find_config(const fs::path& kernel, const fs::path& modules, const std::string& release) {
  for (const fs::path& file : {kernel.parent_path() / ("config-" + release), modules / "config"}) {
    if (fs::exists(file)) return sys::read_file(file);
  }
  return {};
}

FetchedKernel take_file(const KernelFile& source, const KernelContext& context) {
  if (!fs::exists(source.path)) {
    throw Error{ErrorCode::NotFound, fmt::format("no kernel at '{}'", source.path.string())};
  }
  KernelInfo info = inspect_kernel(source.path);
  info.source = source.path.string();
  if (source.modules.empty()) return take_monolithic(source.path, std::move(info), context);
  // Modules load only into the kernel that they were built with; the folder's name says which that is.
  const std::string release = (source.modules / "").parent_path().filename().string();
  if (release != info.release) {
    context.logger.warning(fmt::format("kernel {} is given modules from a folder named '{}'", info.release, release));
  }
  const std::string config = find_config(source.path, source.modules, info.release);
  return take_modular(source.path, std::move(info), source.modules, config, context);
}

FetchedKernel take_url(const KernelUrl& source, const KernelContext& context) {
  const bool is_digest = source.sha256.size() == 64 &&
                         std::all_of(source.sha256.begin(), source.sha256.end(),
                                     [](char c) { return std::isxdigit(static_cast<unsigned char>(c)) != 0; });
  if (!is_digest) {
    throw Error{ErrorCode::InvalidArgument,
                fmt::format("a kernel from a URL needs its SHA-256, 64 hexadecimal digits; got '{}'", source.sha256)};
  }
  const auto digest = to_lower(source.sha256);
  const fs::path file = context.cache / (digest + ".kernel");
  if (!fs::exists(file)) {
    http::DownloadOptions options;
    options.sha256 = digest;
    options.stop = context.tools.stop;
    options.progress = [&](std::uint64_t done, std::uint64_t total) {
      if (context.progress) context.progress("download kernel", done, total);
    };
    http::download(source.url, file, options);
  }
  KernelInfo info = inspect_kernel(file);
  if (info.sha256 != digest) {
    fs::remove(file);
    throw Error{ErrorCode::Corrupt,
                fmt::format("the cached kernel '{}' was damaged; it was removed, try again", file.string())};
  }
  info.source = source.url;
  return take_monolithic(file, std::move(info), context);
}

FetchedKernel take_from_image(const KernelOf& source, const KernelContext& context) {
  const Entry entry = context.open_image(source.image);
  const std::string initramfs = sys::read_file(entry.initramfs(), std::size_t{1} << 30);
  ModuleSet modules = read_initramfs_modules(initramfs, entry.initramfs().string());
  if (modules.release.empty()) modules.release = entry.manifest.kernel.release;
  for (const std::string& name : context.modules) {
    // A kernel without any modules is one that has everything built in.
    const bool there = modules.modules.empty() ||
                       std::any_of(modules.modules.begin(), modules.modules.end(),
                                   [&](const LoadedModule& module) { return module.name == module_name(name); });
    if (there) continue;
    context.logger.warning(fmt::format(
        "image '{}' came without the kernel module '{}'; what this image wants it for will not work: take the "
        "kernel from where that image's came from",
        source.image, name));
  }
  return FetchedKernel{entry.kernel(), entry.manifest.kernel, std::move(modules)};
}

FetchedKernel take_debian(const DebianKernel& source, const KernelContext& context) {
  const UnpackedKernel unpacked = fetch_debian_kernel(source, context);
  KernelInfo info = inspect_kernel(unpacked.kernel);
  info.source = unpacked.source;
  return take_modular(unpacked.kernel, std::move(info), unpacked.modules, unpacked.config, context);
}

}  // namespace

FetchedKernel fetch_kernel(const KernelSource& source, const KernelContext& context) {
  return std::visit(Overloaded{
                        [&](const DebianKernel& debian) { return take_debian(debian, context); },
                        [&](const KernelFile& file) { return take_file(file, context); },
                        [&](const KernelUrl& url) { return take_url(url, context); },
                        [&](const KernelOf& image) { return take_from_image(image, context); },
                    },
                    source);
}

}  // namespace fireclaw::image
