#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/kernel.hpp"

namespace fireclaw::image {

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

/// The image's defaults for commands in it (an OCI image's configuration). Empty: fireclaw's own defaults.
struct RunDefaults {
  std::vector<std::pair<std::string, std::string>> env;
  std::string cwd;
  /// A name or "uid[:gid]", as ExecOptions::user.
  std::string user;
  /// Entrypoint and command: the image's default command.
  std::vector<std::string> command;
  /// How many of its words are the entrypoint: given arguments replace the rest.
  std::size_t entrypoint_words = 0;

  bool operator==(const RunDefaults&) const = default;
};

/// An image's description: its manifest.json. Paths are relative to the image's folder by fixed names:
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
  /// For fireclaw's own recipes: a digest of the recipe and of all files that it adds. Empty for others.
  std::string recipe;
  RunDefaults defaults;
  std::chrono::sys_seconds created;
  /// SHA-256 over the three files' digests, which is part of snapshots' keys. Names and times do not count, so the
  /// same content always has the same digest.
  std::string digest;

  bool operator==(const Manifest&) const = default;
};

/// The digest that belongs to these files.
std::string combined_digest(const FileInfo& kernel, const FileInfo& initramfs, const FileInfo& rootfs);

std::string to_json(const Manifest& manifest);
/// Error(Corrupt) naming file and field if torn, foreign or from another schema.
Manifest read_manifest(const std::filesystem::path& file);

}  // namespace fireclaw::image
