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

/// How far a long step is. `total` is 0 where it is not known; the unit (bytes, items) is the step's own.
struct Progress {
  /// What is being done, e.g. "download"; valid during the call only.
  std::string_view step;
  /// How much of `total` is done.
  std::uint64_t done = 0;
  /// How much there is to do; 0: not known.
  std::uint64_t total = 0;
  /// The step has ended; the last call for it.
  bool finished = false;
};
/// Called on the thread that does the work; must not call back into the library.
using ProgressCallback = std::function<void(const Progress&)>;

/// Debian's cloud kernel, through apt's own download (needs no root, only up-to-date package lists).
struct DistributionKernel {
  /// All are equal.
  bool operator==(const DistributionKernel&) const = default;
};
/// A vmlinux or bzImage file. `modules`: the /lib/modules/RELEASE folder that belongs to it, if it needs modules.
struct KernelFile {
  /// The kernel.
  std::filesystem::path path;
  /// Empty: it needs none.
  std::filesystem::path modules;

  /// Equal in all members.
  bool operator==(const KernelFile&) const = default;
};
/// A kernel to download; `sha256` (64 hexadecimal digits) is required.
struct KernelUrl {
  /// http or https.
  std::string url;
  /// What the file must have, as 64 hexadecimal digits.
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

/// The small built-in root file system: a static busybox from the host.
struct BusyboxRoot {
  /// All are equal.
  bool operator==(const BusyboxRoot&) const = default;
};
/// Debian through mmdebstrap; no root needed.
struct DebianRoot {
  /// Which Debian.
  std::string suite = "bookworm";
  /// Packages to add.
  std::vector<std::string> packages;
  /// Empty: the host's own sources.
  std::string mirror;

  /// Equal in all members.
  bool operator==(const DebianRoot&) const = default;
};
/// Debian with what agents need: Python 3, the usual tools of a shell, git, rootless podman, the user "agent" (uid and
/// gid 1000, home /home/agent), and the bot in /usr/lib/fireclaw/agent. No root needed.
struct DebianAgentRoot {
  /// Which Debian.
  std::string suite = "bookworm";
  /// Beside the recipe's own.
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
  /// What its file system is made from.
  RootSource root;
  /// What its kernel is.
  KernelSource kernel;
  /// Replace an image of that name; machines that run from the old one keep it.
  bool replace = false;

  /// Equal in all members.
  bool operator==(const ImageConfig&) const = default;
};

/// How an image's build is followed and stopped.
struct BuildOptions {
  /// Called as the build progresses; empty: not at all.
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
  /// Where the kernel is from: a package with its version, a file, a URL.
  std::string kernel_source;
  /// "squashfs", "erofs"
  std::string rootfs_type;
  /// SHA-256 over kernel, initramfs and root file system.
  std::string digest;
  /// What an OCI image runs by default: its entrypoint and the arguments for it. Empty for other images.
  std::vector<std::string> command;
  /// The part of it that stays when other arguments are given. Empty also for images of earlier versions.
  std::vector<std::string> entrypoint;
  /// All its files together.
  std::uint64_t bytes = 0;
  /// When it was built.
  std::chrono::system_clock::time_point created;
};

}  // namespace fireclaw
