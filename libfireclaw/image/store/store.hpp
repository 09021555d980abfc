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

#include "base/deadline.hpp"
#include "base/logger.hpp"
#include "image/store/manifest.hpp"

namespace fireclaw::image {

/// An existing image: its folder and its manifest. Plain data; the folder is not locked.
struct Entry {
  Manifest manifest;
  std::filesystem::path directory;

  [[nodiscard]] std::filesystem::path kernel() const { return directory / "kernel"; }
  [[nodiscard]] std::filesystem::path initramfs() const { return directory / "initramfs"; }
  [[nodiscard]] std::filesystem::path rootfs() const { return directory / "rootfs"; }

  bool operator==(const Entry&) const = default;
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
struct DebianAgent {  ///< Debian with what agents need, and the bot
  std::string suite = "bookworm";
  /// Beside the recipe's own.
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
using RootfsSource = std::variant<Busybox, Debian, DebianAgent, Directory, Tar, Oci>;

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
  /// The folder of the files that fireclaw puts into images for agents: bot/ and root/.
  std::filesystem::path agent;
  /// Where helper programs are.
  std::vector<std::filesystem::path> search_path;
  /// The environment of helper programs beside PATH, HOME, TMPDIR and LC_ALL, e.g. "http_proxy=...".
  std::vector<std::string> env;
  Progress progress;
  std::stop_token stop;
  /// How long to wait while another process builds or removes an image of the same name.
  Deadline wait = Deadline::never();
  /// The folder that keeps downloads for later builds; empty: the store itself. Debian roots are large: they are kept
  /// only if a folder is named here.
  std::filesystem::path cache;
  /// Whether the replaced build is kept (Store::find_build); unset: it is removed.
  std::function<bool(const Manifest& replaced)> keep;
  /// The manifest's date; now, if there is none.
  std::optional<std::chrono::sys_seconds> created;
};

/// Fails with Error(InvalidArgument) unless `name` is 1–64 of a-z A-Z 0-9 . _ -, starting with a letter or digit. The
/// error says that it cannot be the name of `what`.
void check_name(std::string_view name, std::string_view what = "an image");

/// Prefixes of the folders of builds under way and of images being removed: prefix NAME "@" and more.
inline constexpr std::string_view build_prefix = ".build-";
inline constexpr std::string_view trash_prefix = ".trash-";
/// The folder of builds that were replaced and are still needed, by their digests.
inline constexpr std::string_view kept_folder = ".kept";

/// The images under one folder, one folder each, whose names are the images'. Names that begin with a dot are the
/// store's own: builds under way (".build-NAME@..."), images being removed (".trash-NAME@..."), locks and downloads.
/// Several processes may use it at once: building locks per name, publishing is one rename, a reader sees an image
/// whole or not at all.
class Store {
 public:
  Store(std::filesystem::path directory, Logger logger);

  /// All whole images, by name; broken ones are reported to the log and left out.
  [[nodiscard]] std::vector<Entry> list() const;
  /// Error(NotFound) with the remedy; Error(Corrupt) if manifest or files are not what they should be (sizes are
  /// checked, not digests: see verify()).
  [[nodiscard]] Entry open(const std::string& name) const;
  [[nodiscard]] std::optional<Entry> find(const std::string& name) const;
  /// The build of an image that has this digest: the one that goes by its name, or one that was replaced and is kept.
  [[nodiscard]] std::optional<Entry> find_build(const std::string& name, const std::string& digest) const;
  /// Compares all digests; slow.
  void verify(const Entry& entry) const;
  /// Builds an image in its own folder and publishes it by renaming that. If something goes wrong, what was there
  /// before stays as it was. Error(AlreadyExists) if there is one of that name (before or after waiting for another
  /// builder) and spec.replace is not set; Error(Timeout) if options.wait passes while another builder is at it;
  /// Error(Cancelled) on stop; Error(Io) "disk is full".
  Entry build(const BuildSpec& spec, const BuildOptions& options);
  /// The image's kernel as an ELF file, for engines that take no other: the kernel itself, or what is packed in it,
  /// unpacked once and kept beside it. Error(Unsupported) if it has nothing to unpack.
  [[nodiscard]] std::filesystem::path ensure_vmlinux(const Entry& entry, const BuildOptions& options) const;
  /// Error(NotFound) if there is none. Machines that run from it keep what they have open.
  void remove(const std::string& name);
  /// Removes what interrupted builds and removals left, never what belongs to one under way. Returns the folders
  /// removed. `search_path` as in BuildOptions: what mmdebstrap left of an ordinary user's build takes a helper
  /// program to remove.
  std::vector<std::filesystem::path> collect_garbage(const std::vector<std::filesystem::path>& search_path = {});
  /// Removes replaced builds that nobody needs any more. Returns the folders removed.
  std::vector<std::filesystem::path> remove_kept(const std::function<bool(const std::string& digest)>& needed);

 private:
  [[nodiscard]] std::filesystem::path lock_file(const std::string& name) const;
  [[nodiscard]] bool share_kernel(const std::filesystem::path& target, const std::string& sha256) const;
  void discard(const std::string& name) const;

  std::filesystem::path directory_;
  Logger logger_;
};

}  // namespace fireclaw::image
