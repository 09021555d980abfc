#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <stop_token>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace fireclaw {

/// How far a long step is. The unit (bytes, items) depends on the step.
struct Progress {
  /// The step's name, e.g. "download"; valid during the call only.
  std::string_view step;
  /// How much of `total` is done.
  std::uint64_t done = 0;
  /// How much there is to do; 0: unknown.
  std::uint64_t total = 0;
  /// The step has ended; this is its last call.
  bool finished = false;
};
/// Called on the thread that does the work; must not call back into the library.
using ProgressCallback = std::function<void(const Progress&)>;

/// Debian's cloud kernel, downloaded with apt. Needs up-to-date package lists, but not root.
struct DistributionKernel {
  /// All are equal.
  bool operator==(const DistributionKernel&) const = default;
};
/// A kernel in a vmlinux or bzImage file.
struct KernelFile {
  /// The file.
  std::filesystem::path path;
  /// The folder lib/modules/RELEASE that belongs to it; empty: it needs no modules.
  std::filesystem::path modules;

  /// Equal in all members.
  bool operator==(const KernelFile&) const = default;
};
/// A kernel to download. Both members are required.
struct KernelUrl {
  /// http or https.
  std::string url;
  /// The file's SHA-256, 64 hexadecimal digits.
  std::string sha256;

  /// Equal in all members.
  bool operator==(const KernelUrl&) const = default;
};
/// The kernel of an image that exists.
struct KernelOfImage {
  /// That image's name.
  std::string image;

  /// Equal in all members.
  bool operator==(const KernelOfImage&) const = default;
};
/// Where an image's kernel comes from.
using KernelSource = std::variant<DistributionKernel, KernelFile, KernelUrl, KernelOfImage>;

/// The small built-in root file system, with the host's static busybox.
struct BusyboxRoot {
  /// All are equal.
  bool operator==(const BusyboxRoot&) const = default;
};
/// Debian, made by mmdebstrap. Needs no root.
struct DebianRoot {
  /// The Debian release.
  std::string suite = "bookworm";
  /// Packages to add.
  std::vector<std::string> packages;
  /// Empty: the host's own sources.
  std::string mirror;

  /// Equal in all members.
  bool operator==(const DebianRoot&) const = default;
};
/// Debian with what agents need: Python 3, the usual tools of a shell, git, rootless podman, the user "agent" (uid and
/// gid 1000, home /home/agent), and the bot in /usr/lib/fireclaw/agent. Needs no root.
struct DebianAgentRoot {
  /// The Debian release.
  std::string suite = "bookworm";
  /// Packages to add to the recipe's own.
  std::vector<std::string> packages;
  /// Empty: the host's own sources.
  std::string mirror;

  /// Equal in all members.
  bool operator==(const DebianAgentRoot&) const = default;
};
/// A folder's content.
struct DirectoryRoot {
  /// The folder.
  std::filesystem::path path;

  /// Equal in all members.
  bool operator==(const DirectoryRoot&) const = default;
};
/// A tar file, plain or compressed.
struct TarRoot {
  /// The file.
  std::filesystem::path path;

  /// Equal in all members.
  bool operator==(const TarRoot&) const = default;
};
/// An OCI image as skopeo names it: "oci:DIR:TAG", "oci-archive:FILE", "docker://registry/name:tag".
struct OciRoot {
  /// As skopeo takes it.
  std::string reference;

  /// Equal in all members.
  bool operator==(const OciRoot&) const = default;
};
/// Where an image's file system comes from.
using RootSource = std::variant<BusyboxRoot, DebianRoot, DebianAgentRoot, DirectoryRoot, TarRoot, OciRoot>;

/// Describes the image to build.
struct ImageConfig {
  /// 1–64 of a-z A-Z 0-9 . _ -, starting with a letter or digit.
  std::string name;
  /// The source of its root file system.
  RootSource root;
  /// The source of its kernel.
  KernelSource kernel;
  /// Replace an image of that name; machines that run from the old one keep it.
  bool replace = false;

  /// Equal in all members.
  bool operator==(const ImageConfig&) const = default;
};

/// How to follow and cancel an image's build.
struct BuildOptions {
  /// Called as the build progresses; can be empty.
  ProgressCallback progress;
  /// Cancels the build: Error(Cancelled), and there is no image.
  std::stop_token stop{};
};

/// What is known of an image.
struct ImageInfo {
  /// Its name.
  std::string name;
  /// "busybox", "debian:bookworm", "oci:...", ...
  std::string source;
  /// As `uname -r` says it.
  std::string kernel_release;
  /// The kernel's source: a package with its version, a file, a URL.
  std::string kernel_source;
  /// "squashfs", "erofs"
  std::string rootfs_type;
  /// SHA-256 over kernel, initramfs and root file system.
  std::string digest;
  /// The default command of an OCI image: its entrypoint and arguments. Empty for other images.
  std::vector<std::string> command;
  /// The entrypoint, to which other arguments can be given. Also empty for images of earlier versions.
  std::vector<std::string> entrypoint;
  /// The size of all its files together.
  std::uint64_t bytes = 0;
  /// When it was built.
  std::chrono::system_clock::time_point created;
};

}  // namespace fireclaw
