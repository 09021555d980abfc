// The real package, from the real apt. It is kept in the folder that FIRECLAW_TEST_CACHE names.
#include <doctest/doctest.h>

#include <cstdlib>

#include "image/kernel/initramfs.hpp"
#include "image/kernel/kernel.hpp"
#include "image/testing/craft.hpp"
#include "image/testing/workshop.hpp"

using namespace fireclaw;
using namespace fireclaw::image;
using image::testing::skip;
using image::testing::Workshop;

TEST_CASE("Debian's cloud kernel becomes an image that has what a guest needs, and unpacks to a vmlinux") {
  const char* cache = std::getenv("FIRECLAW_TEST_CACHE");
  if (cache == nullptr) skip("FIRECLAW_TEST_CACHE names no folder to keep the kernel package in");
  Workshop shop;
  shop.options.cache = cache;
  std::optional<Entry> built;
  try {
    built = shop.store.build(BuildSpec{"debian", DebianKernel{}, Tar{shop.small_tar()}, false}, shop.options);
  } catch (const Error& error) {
    const std::string_view text = error.what();
    if (text.starts_with("no package") || text.starts_with("cannot download")) skip(text);
    throw;
  }
  const KernelInfo& kernel = built->manifest.kernel;
  CHECK(kernel.format == KernelFormat::BzImage);
  CHECK(kernel.bus == VirtioBus::Pci);
  CHECK(kernel.release.ends_with("-cloud-amd64"));
  CHECK(kernel.source.starts_with("linux-image-" + kernel.release + " "));

  const std::string initramfs = sys::read_file(built->initramfs());
  const ModuleSet set = read_initramfs_modules(initramfs, "initramfs");
  CHECK(set.release == kernel.release);
  std::vector<std::string> loaded;
  for (const LoadedModule& module : set.modules) {
    CAPTURE(module.name);
    for (const std::string& needed : read_module_info(module.bytes, module.name).depends) {
      CAPTURE(needed);
      const bool is_ours = std::any_of(set.modules.begin(), set.modules.end(),
                                       [&](const LoadedModule& other) { return other.name == needed; });
      CHECK((!is_ours || std::find(loaded.begin(), loaded.end(), needed) != loaded.end()));
    }
    CHECK(module.bytes.find("~Module signature appended~") == std::string::npos);
    loaded.push_back(module.name);
  }
  for (const char* name : {"virtio_pci", "virtio_mmio", "virtio_blk", "virtio_net", "virtio_console", "virtio_rng",
                           "vmw_vsock_virtio_transport", "virtio_balloon", "squashfs", "overlay"}) {
    CAPTURE(name);
    CHECK(std::find(loaded.begin(), loaded.end(), name) != loaded.end());
  }

  const KernelInfo unpacked = inspect_kernel(shop.store.ensure_vmlinux(*built, shop.options));
  CHECK(unpacked.format == KernelFormat::Elf);
  CHECK(unpacked.release == kernel.release);
}
