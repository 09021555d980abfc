#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace fireclaw::image {

enum class KernelFormat { Elf, BzImage };
enum class VirtioBus { Mmio, Pci };

struct KernelInfo {
  KernelFormat format = KernelFormat::BzImage;
  VirtioBus bus = VirtioBus::Pci;
  /// "6.1.0-40-cloud-amd64"
  std::string release;
  std::string sha256;
  /// Where it came from: a package name with version, a path or a URL.
  std::string source;

  bool operator==(const KernelInfo&) const = default;
};

struct FileInfo {
  std::string sha256;
  std::uint64_t bytes = 0;

  bool operator==(const FileInfo&) const = default;
};

/// What an image is, as its manifest.json says. Paths are relative to the image's folder by fixed names:
/// kernel, initramfs, rootfs.
struct Manifest {
  static constexpr unsigned schema = 1;

  std::string name;
  KernelInfo kernel;
  FileInfo kernel_file;
  FileInfo initramfs;
  FileInfo rootfs;
  /// "squashfs", "erofs"
  std::string rootfs_type;
  std::string guestd_version;
  /// "busybox", "debian:bookworm", "oci:...", ...
  std::string source;
  std::chrono::sys_seconds created;
  /// SHA-256 over the three files' digests: what snapshots are keyed by.
  std::string digest;

  bool operator==(const Manifest&) const = default;
};

std::string to_json(const Manifest& manifest);
/// Error(Corrupt) naming file and field if torn, foreign or from another schema.
Manifest read_manifest(const std::filesystem::path& file);

}  // namespace fireclaw::image
