#include "fireclaw/collections.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "core/host/image_build.hpp"
#include "core/host/impl.hpp"
#include "fireclaw/error.hpp"
#include "fireclaw/version.hpp"
#include "image/roots/rootfs.hpp"
#include "state/records/agents.hpp"
#include "state/records/machines.hpp"
#include "state/settings/templates.hpp"
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

/// All snapshots of an image's builds; broken ones are reported to the log and left out.
std::vector<state::SnapshotRecord> snapshots_of(const Host::Impl& host, const std::string& image) {
  std::vector<state::SnapshotRecord> records;
  for (const auto& name : host.snapshots.names()) {
    try {
      if (auto record = host.snapshots.find(name); record && record->image == image) {
        records.push_back(std::move(*record));
      }
    } catch (const Error& problem) {
      host.logger.warning(problem.what());
    }
  }
  return records;
}

/// What starts from an image by its name: "agent 'ada'", "machine 'dev'".
std::vector<std::string> users_of(const Host::Impl& host, const std::string& image) {
  std::vector<std::string> users;
  const state::TemplateStore templates{host.layout.templates(), host.logger};
  for (const auto& agent : state::AgentStore{host.layout.agents(), host.logger}.list()) {
    const auto from = templates.find(agent.template_name);
    if (from && from->text("image", std::string{agent_image}) == image) {
      users.push_back(fmt::format("agent '{}'", agent.name));
    }
  }
  for (const auto& machine : state::MachineStore{host.layout.machines(), host.logger}.list()) {
    if (machine.image == image) users.push_back(fmt::format("machine '{}'", machine.name));
  }
  return users;
}

}  // namespace

std::string guestd_version(const Host::Impl& host) {
  return fmt::format("{}+{}", version(), sys::sha256_file(host.guestd()).substr(0, 12));
}

std::optional<std::string> busybox_recipe(const Host::Impl& host) {
  try {
    return image::busybox_recipe(image::make_busybox_root({}, {host.options.search_path, {}, host.layout.home(), {}}));
  } catch (const Error& problem) {
    host.logger.debug(problem.what());
    return std::nullopt;
  }
}

bool is_current(const Host::Impl& host, const image::Entry& image, const std::string& recipe) {
  return image.manifest.guestd_version == guestd_version(host) && image.manifest.recipe == recipe;
}

bool has_own_packages(const image::Entry& image) {
  return image.manifest.source.starts_with("debian-agent:") && image.manifest.source.find('+') != std::string::npos;
}

bool needs_build(const Host::Impl& host, const std::string& digest) {
  const auto of_snapshot = [&](const std::string& name) {
    try {
      const auto record = host.snapshots.find(name);
      return record && !record->automatic && record->key.image_digest == digest;
    } catch (const Error&) {
      return false;
    }
  };
  return std::ranges::any_of(host.snapshots.names(), of_snapshot) ||
         std::ranges::any_of(host.runs.list(), [&](const state::RunRecord& run) { return run.image_digest == digest; });
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

image::Entry build_image(Host::Impl& host, const ImageConfig& config, const BuildOptions& given) {
  auto options = build_options(host);
  if (std::holds_alternative<DebianAgentRoot>(config.root)) options.agent = host.agent();
  options.stop = given.stop;
  options.keep = [&host](const image::Manifest& replaced) { return needs_build(host, replaced.digest); };
  if (given.progress) {
    options.progress = [&given](std::string_view step, std::uint64_t done, std::uint64_t total) {
      given.progress({step, done, total, total != 0 && done == total});
    };
  }
  return host.images.build({config.name, to_room(config.kernel), to_room(config.root), config.replace}, options);
}

}  // namespace core

ImageInfo Images::build(const ImageConfig& config, const BuildOptions& options) const {
  return core::to_info(core::build_image(*Access::impl(host_), config, options));
}

std::vector<ImageInfo> Images::list() const {
  std::vector<ImageInfo> infos;
  for (const auto& entry : Access::impl(host_)->images.list()) infos.push_back(core::to_info(entry));
  return infos;
}

ImageInfo Images::info(const std::string& name) const { return core::to_info(Access::impl(host_)->images.open(name)); }

void Images::remove(const std::string& name, bool force) const {
  const auto& impl = Access::impl(host_);
  // Asked for first: what is needed by nobody else can still be one that is not there.
  if (!std::filesystem::exists(impl->layout.images() / name)) return impl->images.remove(name);
  const auto saved = core::snapshots_of(*impl, name);
  std::vector<std::string> named;
  for (const auto& snapshot : saved) {
    if (!snapshot.automatic) named.push_back(fmt::format("snapshot '{}'", snapshot.name));
  }
  const auto users = core::users_of(*impl, name);
  if (!force && !(named.empty() && users.empty())) {
    auto all = named;
    all.insert(all.end(), users.begin(), users.end());
    throw Error{ErrorCode::InvalidState,
                fmt::format("image '{}' is needed by {}; to remove it anyway, with its snapshots: fireclaw image "
                            "remove --force {}",
                            name, fmt::join(all, ", "), name)};
  }
  impl->images.remove(name);
  for (const auto& snapshot : saved) impl->snapshots.remove(snapshot.name);
  impl->images.remove_kept([&](const std::string& digest) { return core::needs_build(*impl, digest); });
  if (!named.empty()) {
    impl->logger.warning(fmt::format("removed with image '{}': {}", name, fmt::join(named, ", ")));
  }
  if (!users.empty()) {
    impl->logger.warning(fmt::format("these cannot start without image '{}': {}", name, fmt::join(users, ", ")));
  }
}

}  // namespace fireclaw
