#pragma once

#include <filesystem>
#include <functional>

#include "base/logger.hpp"
#include "image/kernel/initramfs.hpp"
#include "image/store/manifest.hpp"
#include "image/store/store.hpp"
#include "image/tools.hpp"

namespace fireclaw::image {

/// The parts of a build that fetching a kernel needs.
struct KernelContext {
  Tools tools;
  Logger logger;
  /// Downloads that later builds use again.
  std::filesystem::path cache;
  std::function<void(std::string_view step, std::uint64_t done, std::uint64_t total)> progress;
  /// Modules that this image's content needs beside those of every guest.
  std::vector<std::string> modules;
  /// Looks up an image by name, for KernelOf.
  std::function<Entry(const std::string& name)> open_image;
};

/// A fetched kernel: its file (the caller can copy or link it), and the modules that guests load.
struct FetchedKernel {
  std::filesystem::path file;
  /// Complete, `source` included.
  KernelInfo info;
  ModuleSet modules;
};

FetchedKernel fetch_kernel(const KernelSource& source, const KernelContext& context);

/// The distribution's package, from the cache or by apt-get download, unpacked below tools.temp.
struct UnpackedKernel {
  std::filesystem::path kernel;
  /// lib/modules/<release>
  std::filesystem::path modules;
  /// The configuration that it was built with; empty if the package does not say.
  std::string config;
  /// "linux-image-6.1.0-13-cloud-amd64 6.1.55-1"
  std::string source;
};
UnpackedKernel fetch_debian_kernel(const DebianKernel& source, const KernelContext& context);

}  // namespace fireclaw::image
