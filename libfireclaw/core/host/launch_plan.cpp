#include "core/host/launch_plan.hpp"

#include <algorithm>
#include <array>
#include <string_view>

#include <fmt/format.h>

#include "core/host/image_build.hpp"
#include "fireclaw/error.hpp"
#include "fireclaw/fields.hpp"
#include "sys/file.hpp"
#include "sys/random.hpp"

namespace fireclaw::core {
namespace {

/// The image's kernel in a form that the engine takes.
vmm::Kernel kernel_for(const Host::Impl& host, const image::Entry& image, const vmm::Capabilities& capabilities) {
  vmm::Kernel kernel{image.kernel(), image.manifest.kernel.format, image.manifest.kernel.bus};
  if (kernel.format == KernelFormat::BzImage && !capabilities.bzimage_mmio) {
    kernel.file = host.images.ensure_vmlinux(image, build_options(host));
    kernel.format = KernelFormat::Elf;
  }
  return kernel;
}

}  // namespace

void check_shape(const Shape& shape, const vmm::Capabilities& capabilities, const std::string& engine) {
  if (shape.cpus < 1 || shape.cpus > capabilities.max_vcpus) {
    throw Error{ErrorCode::InvalidArgument, fmt::format("a machine must have 1 to {} CPUs with {}, not {}",
                                                        capabilities.max_vcpus, engine, shape.cpus)};
  }
  constexpr auto memory = description_of<VMConfig>("memory_mib");
  static_assert(memory.least <= memory.most);
  if (shape.memory_mib < memory.least || shape.memory_mib > memory.most) {
    throw Error{ErrorCode::InvalidArgument, fmt::format("a machine's memory must be {} to {} MiB, not {}", memory.least,
                                                        memory.most, shape.memory_mib)};
  }
}

vmm::LaunchSpec make_launch_spec(const Host::Impl& host, const image::Entry& image, const Shape& shape,
                                 const std::string& id, bool die_with_parent, const vmm::Capabilities& capabilities,
                                 const EngineUser* user) {
  vmm::LaunchSpec spec;
  spec.id = id;
  spec.run_dir = host.runs.engine_directory(id);
  // An engine may have been tried in it before.
  sys::remove_tree(spec.run_dir);
  sys::make_directories(spec.run_dir);
  spec.kernel = kernel_for(host, image, capabilities);
  spec.initramfs = image.initramfs();
  spec.cmdline = fmt::format("fireclaw.rootfs={}", image.manifest.rootfs_type);
  spec.drives.push_back({"rootfs", image.rootfs(), true});
  spec.vcpus = shape.cpus;
  spec.memory_mib = shape.memory_mib;
  spec.die_with_parent = die_with_parent;
  if (user != nullptr) {
    spec.user = user->id;
    spec.inherit.push_back(user->lock.get());
  }
  return spec;
}

state::SnapshotKey make_key(const vmm::Driver& driver, const image::Entry& image, const Shape& shape) {
  state::SnapshotKey key;
  key.engine_identity = driver.snapshot_identity();
  key.image_digest = image.manifest.digest;
  key.cpus = shape.cpus;
  key.memory_mib = shape.memory_mib;
  key.network = shape.nic ? "nic" : "none";
  return key;
}

guest::Identity make_identity(const std::string& hostname) {
  guest::Identity identity;
  identity.hostname = hostname;
  identity.machine_id = sys::random_hex(16);
  sys::random_bytes(identity.entropy);
  return identity;
}

void check_hostname(std::string_view name) {
  const auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
  };
  if (name.empty() || name.size() > 63 || name.front() == '-' || name.back() == '-' ||
      !std::ranges::all_of(name, fits)) {
    throw Error{ErrorCode::InvalidArgument,
                fmt::format("'{}' is not a host name: use 1 to 63 letters, digits and inner hyphens", name)};
  }
}

}  // namespace fireclaw::core
