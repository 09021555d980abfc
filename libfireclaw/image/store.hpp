#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/logger.hpp"
#include "image/manifest.hpp"

namespace fireclaw::image {

/// An image that is there: its folder and what its manifest says. Plain data; the folder is not locked.
struct Entry {
  Manifest manifest;
  std::filesystem::path directory;

  [[nodiscard]] std::filesystem::path kernel() const { return directory / "kernel"; }
  [[nodiscard]] std::filesystem::path initramfs() const { return directory / "initramfs"; }
  [[nodiscard]] std::filesystem::path rootfs() const { return directory / "rootfs"; }
};

/// Progress of a long step: `done` of `total` (0: unknown) in bytes or items.
using Progress = std::function<void(std::string_view step, std::uint64_t done, std::uint64_t total)>;

/// Where a kernel comes from.
struct DebianKernel {  ///< the distribution's cloud kernel, through apt's own download
  std::string package = "linux-image-cloud-amd64";
};
struct KernelFile {  ///< vmlinux or bzImage; modules, if it needs any, from `modules` (a /lib/modules/<release>)
  std::filesystem::path path;
  std::filesystem::path modules;
};
struct KernelUrl {
  std::string url;
  std::string sha256;
};
struct KernelOf {  ///< the kernel of an image that exists
  std::string image;
};
using KernelSource = std::variant<DebianKernel, KernelFile, KernelUrl, KernelOf>;

/// Where the root file system comes from.
struct Busybox {  ///< the small built-in one, from a static busybox on the host
  std::filesystem::path binary;
};
struct Debian {  ///< through mmdebstrap, in a user namespace if not root
  std::string suite = "bookworm";
  std::vector<std::string> packages;
  std::string mirror;
};
struct Directory {
  std::filesystem::path path;
};
struct Tar {  ///< plain, gzip, xz or zstd
  std::filesystem::path path;
};
struct Oci {  ///< a skopeo reference: "oci:DIR[:TAG]", "docker://...", "oci-archive:FILE"
  std::string reference;
};
using RootfsSource = std::variant<Busybox, Debian, Directory, Tar, Oci>;

struct BuildSpec {
  /// A validated image name.
  std::string name;
  KernelSource kernel;
  RootfsSource rootfs;
  /// Replace an image of that name (machines that run from the old one keep it).
  bool replace = false;
};

struct BuildOptions {
  /// The static guestd that becomes /init.
  std::filesystem::path guestd;
  std::string guestd_version;
  std::vector<std::filesystem::path> search_path;
  Progress progress;
  std::stop_token stop;
};

/// Fails with Error(InvalidArgument) unless `name` is 1–64 of a-z A-Z 0-9 . _ -, starting with a letter or digit.
void check_name(std::string_view name);

/// The images under one folder. Several processes may use it at once: building locks per name, publishing is one
/// rename, a reader sees an image whole or not at all.
class Store {
 public:
  Store(std::filesystem::path directory, Logger logger);

  /// All whole images, by name; broken ones are reported to the log and left out.
  [[nodiscard]] std::vector<Entry> list() const;
  /// Error(NotFound) with the remedy; Error(Corrupt) if manifest or files are not what they should be (sizes are
  /// checked, not digests: see verify()).
  [[nodiscard]] Entry open(const std::string& name) const;
  [[nodiscard]] std::optional<Entry> find(const std::string& name) const;
  /// Compares all digests; slow.
  void verify(const Entry& entry) const;
  Entry build(const BuildSpec& spec, const BuildOptions& options);
  void remove(const std::string& name);
  /// Removes what interrupted builds left. Returns the folders removed.
  std::vector<std::filesystem::path> collect_garbage();

 private:
  std::filesystem::path directory_;
  Logger logger_;
};

/// What a kernel file is: looks into it. Error(InvalidArgument) "not a kernel" / "truncated".
KernelInfo inspect_kernel(const std::filesystem::path& file);

}  // namespace fireclaw::image
