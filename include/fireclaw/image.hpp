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

#include "fireclaw/export.hpp"

namespace fireclaw {

class Host;

/// How far a long step is. `total` is 0 where it is not known; the unit (bytes, items) is the step's own.
struct Progress {
  std::string_view step;
  std::uint64_t done = 0;
  std::uint64_t total = 0;
  bool finished = false;
};
/// Called on the thread that does the work; must not call back into the library.
using ProgressCallback = std::function<void(const Progress&)>;

/// Debian's cloud kernel, through apt's own download (needs no root, only up-to-date package lists).
struct DistributionKernel {};
/// A vmlinux or bzImage file. `modules`: the /lib/modules/<release> folder that belongs to it, if it needs modules.
struct KernelFile {
  std::filesystem::path path;
  std::filesystem::path modules;
};
/// A kernel to download; `sha256` (64 hexadecimal digits) is required.
struct KernelUrl {
  std::string url;
  std::string sha256;
};
/// The kernel of an image that exists.
struct KernelOfImage {
  std::string image;
};
using KernelSource = std::variant<DistributionKernel, KernelFile, KernelUrl, KernelOfImage>;

/// The small built-in root file system: a static busybox from the host.
struct BusyboxRoot {};
/// Debian through mmdebstrap; no root needed.
struct DebianRoot {
  std::string suite = "bookworm";
  std::vector<std::string> packages;
  /// Empty: the host's own sources.
  std::string mirror;
};
/// Debian with what agents need: Python 3, the usual tools of a shell, git, rootless podman, the user "agent" (uid and
/// gid 1000, home /home/agent), and the bot in /usr/lib/fireclaw/agent. No root needed.
struct DebianAgentRoot {
  std::string suite = "bookworm";
  /// Beside the recipe's own.
  std::vector<std::string> packages;
  /// Empty: the host's own sources.
  std::string mirror;
};
/// A folder's content.
struct DirectoryRoot {
  std::filesystem::path path;
};
/// A tar file, plain or compressed.
struct TarRoot {
  std::filesystem::path path;
};
/// An OCI image as skopeo names it: "oci:DIR:TAG", "oci-archive:FILE", "docker://registry/name:tag".
struct OciRoot {
  std::string reference;
};
using RootSource = std::variant<BusyboxRoot, DebianRoot, DebianAgentRoot, DirectoryRoot, TarRoot, OciRoot>;

struct ImageConfig {
  /// 1–64 of a-z A-Z 0-9 . _ -, starting with a letter or digit.
  std::string name;
  RootSource root;
  KernelSource kernel;
  /// Replace an image of that name; machines that run from the old one keep it.
  bool replace = false;
  ProgressCallback progress;
  std::stop_token stop;
};

struct ImageInfo {
  std::string name;
  /// "busybox", "debian:bookworm", "oci:...", ...
  std::string source;
  std::string kernel_release;
  std::string kernel_source;
  /// "squashfs", "erofs"
  std::string rootfs_type;
  /// SHA-256 over kernel, initramfs and root file system.
  std::string digest;
  /// What an OCI image runs unless told otherwise: its entrypoint and the arguments for it. Empty for other images.
  std::vector<std::string> command;
  /// All its files together.
  std::uint64_t bytes = 0;
  std::chrono::system_clock::time_point created;
};

/// The images of a host: kernel + initramfs + a read-only root file system that all machines share.
class FIRECLAW_API Image {
 public:
  /// Error(AlreadyExists) if the name is taken and `replace` is not set. An interrupted build leaves no image.
  static ImageInfo build(const Host& host, const ImageConfig& config);
  /// By name.
  static std::vector<ImageInfo> list(const Host& host);
  /// Error(NotFound) if there is none of that name; Error(Corrupt) if it is torn.
  static ImageInfo info(const Host& host, const std::string& name);
  /// Machines that run from it are not disturbed. Its snapshots can no longer be restored and are removed too.
  static void remove(const Host& host, const std::string& name);
};

}  // namespace fireclaw
