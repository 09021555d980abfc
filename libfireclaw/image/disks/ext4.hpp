#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "base/logger.hpp"
#include "image/tools.hpp"

/// ext4 file systems in image files: made, checked and resized by e2fsprogs, without root and without mounting. A guest
/// has written such a file, so it is not trusted: the tools get limited time, and their results are checked.
namespace fireclaw::image {

/// The properties of a new file system. Features are named one by one, so that a guest's kernel (5.10 and later) can
/// mount it, independent of this host's mke2fs.conf.
struct Ext4Config {
  /// A multiple of 4096; at least 16 MiB with a journal, 1 MiB without.
  std::uint64_t bytes = std::uint64_t{64} << 20;
  /// At most 16 characters, shown by tools.
  std::string label;
  /// Whether it has a journal, to survive a crash of the machine. A disk that ends with its machine needs none.
  bool journal = true;
  /// Owner of the root folder and its content.
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  /// A folder of the caller's to copy, with modes and times; empty: none. Needs namespaces: Error(Unsupported)
  /// without.
  std::filesystem::path content = {};
};

/// Makes a sparse file with an empty file system at `target` (which must not exist; it is gone again on failure): some
/// 150 KiB on disk, whatever its size up to tens of GiB.
void make_ext4(const std::filesystem::path& target, const Ext4Config& config, const Tools& tools);

/// The superblock's counts. They lag behind while a machine writes to the file system.
struct Ext4Usage {
  std::uint64_t bytes = 0;
  std::uint64_t used_bytes = 0;
  std::uint64_t files = 0;
  /// Unmounted in order, and no error was seen in it.
  bool clean = false;
};
/// Error(Corrupt) if there is no plausible superblock.
Ext4Usage ext4_usage(const std::filesystem::path& image);

enum class CheckDepth {
  Quick,  ///< replays the journal; looks further only where the file system says that it is not clean
  Full,   ///< looks at everything: afterwards its structure can be relied upon, also if a guest wrote it
};
struct Ext4Check {
  /// Whether something was wrong and has been repaired. A replayed journal does not count.
  bool repaired = false;
  /// What was found and done, on one line; empty if nothing was.
  std::string report;
};
/// Checks and repairs with e2fsck. If the careful mode fails, it repairs by force, with a warning that quotes the
/// findings. Error(Corrupt) if that fails too or takes too long; never changes the file's length.
Ext4Check check_ext4(const std::filesystem::path& image, CheckDepth depth, const Tools& tools, const Logger& logger);

/// Grows or shrinks the file system and its file to `bytes` (a multiple of 4096). It is checked in full before.
/// Error(InvalidState) naming the least size if the content does not fit.
void resize_ext4(const std::filesystem::path& image, std::uint64_t bytes, const Tools& tools, const Logger& logger);

}  // namespace fireclaw::image
