#include "fireclaw/image.hpp"

#include <utility>

#include <fmt/format.h>

#include "core/host/image_build.hpp"
#include "core/host/impl.hpp"
#include "fireclaw/error.hpp"
#include "fireclaw/host.hpp"
#include "fireclaw/version.hpp"
#include "sys/digest.hpp"

namespace fireclaw {
namespace core {
namespace {

template <typename... Cases>
struct Overload : Cases... {
  using Cases::operator()...;
};
template <typename... Cases>
Overload(Cases...) -> Overload<Cases...>;

image::KernelSource to_room(const KernelSource& source) {
  return std::visit(Overload{
                        [](const DistributionKernel&) -> image::KernelSource { return image::DebianKernel{}; },
                        [](const KernelFile& file) -> image::KernelSource {
                          return image::KernelFile{file.path, file.modules};
                        },
                        [](const KernelUrl& url) -> image::KernelSource {
                          return image::KernelUrl{url.url, url.sha256};
                        },
                        [](const KernelOfImage& of) -> image::KernelSource { return image::KernelOf{of.image}; },
                    },
                    source);
}

image::RootfsSource to_room(const RootSource& source) {
  return std::visit(Overload{
                        [](const BusyboxRoot&) -> image::RootfsSource { return image::Busybox{}; },
                        [](const DebianRoot& root) -> image::RootfsSource {
                          return image::Debian{root.suite, root.packages, root.mirror};
                        },
                        [](const DebianAgentRoot& root) -> image::RootfsSource {
                          return image::DebianAgent{root.suite, root.packages, root.mirror};
                        },
                        [](const DirectoryRoot& root) -> image::RootfsSource { return image::Directory{root.path}; },
                        [](const TarRoot& root) -> image::RootfsSource { return image::Tar{root.path}; },
                        [](const OciRoot& root) -> image::RootfsSource { return image::Oci{root.reference}; },
                    },
                    source);
}

ImageInfo to_info(const image::Entry& entry) {
  ImageInfo info;
  info.name = entry.manifest.name;
  info.source = entry.manifest.source;
  info.kernel_release = entry.manifest.kernel.release;
  info.kernel_source = entry.manifest.kernel.source;
  info.rootfs_type = entry.manifest.rootfs_type;
  const auto& command = entry.manifest.defaults.command;
  info.command = command;
  info.entrypoint.assign(command.begin(),
                         command.begin() + static_cast<std::ptrdiff_t>(entry.manifest.defaults.entrypoint_words));
  info.digest = entry.manifest.digest;
  info.bytes = entry.manifest.kernel_file.bytes + entry.manifest.initramfs.bytes + entry.manifest.rootfs.bytes;
  info.created = entry.manifest.created;
  return info;
}

}  // namespace

std::string guestd_version(const Host::Impl& host) {
  return fmt::format("{}+{}", version(), sys::sha256_file(host.guestd()).substr(0, 12));
}

bool is_current(const Host::Impl& host, const image::Entry& image, const std::string& recipe) {
  return image.manifest.guestd_version == guestd_version(host) && image.manifest.recipe == recipe;
}

image::BuildOptions build_options(const Host::Impl& host) {
  image::BuildOptions options;
  options.guestd = host.guestd();
  options.guestd_version = guestd_version(host);
  options.search_path = host.options.search_path;
  options.env = host.options.tool_environment;
  options.cache = host.options.cache;
  return options;
}

image::Entry build_image(Host::Impl& host, const ImageConfig& config) {
  auto options = build_options(host);
  if (std::holds_alternative<DebianAgentRoot>(config.root)) options.agent = host.agent();
  options.stop = config.stop;
  if (config.progress) {
    options.progress = [&config](std::string_view step, std::uint64_t done, std::uint64_t total) {
      config.progress({step, done, total, total != 0 && done == total});
    };
  }
  return host.images.build({config.name, to_room(config.kernel), to_room(config.root), config.replace}, options);
}

}  // namespace core

ImageInfo Image::build(const Host& host, const ImageConfig& config) {
  return core::to_info(core::build_image(*Access::impl(host), config));
}

std::vector<ImageInfo> Image::list(const Host& host) {
  std::vector<ImageInfo> infos;
  for (const auto& entry : Access::impl(host)->images.list()) infos.push_back(core::to_info(entry));
  return infos;
}

ImageInfo Image::info(const Host& host, const std::string& name) {
  return core::to_info(Access::impl(host)->images.open(name));
}

void Image::remove(const Host& host, const std::string& name) {
  const auto& impl = Access::impl(host);
  impl->images.remove(name);
  for (const auto& snapshot : impl->snapshots.names()) {
    try {
      const auto record = impl->snapshots.find(snapshot);
      if (record && record->image == name) impl->snapshots.remove(snapshot);
    } catch (const Error& problem) {
      impl->logger.warning(problem.what());
    }
  }
}

}  // namespace fireclaw
