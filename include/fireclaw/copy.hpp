#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>

namespace fireclaw {

/// Which symbolic links of a tree are copied out of a machine.
enum class CopyLinks {
  Inside,  ///< those that lead to something inside the tree; the others are left out and counted
  Keep,    ///< all, as they are
};

/// How files are copied into a machine or out of it.
struct CopyOptions {
  /// Which symbolic links are copied out. A link that is copied alone always leads out of its tree. Copies into a
  /// machine keep all links.
  CopyLinks links = CopyLinks::Inside;
  /// The most bytes that a copy out of a machine may write, holes not counted; 0: three quarters of the free space at
  /// its target. More is Error(Io), and the target stays as it was.
  std::uint64_t max_bytes = 0;
  /// The most files, links and folders that it may make; 0: three quarters of what the file system has room for.
  std::uint64_t max_files = 0;
  /// The owner of files that are copied in: a user's name or numeric "uid[:gid]" in the guest. Empty: the OCI image's
  /// user, else root.
  std::string owner;
  /// Permission bits of files that are copied in. None: their own. Folders keep theirs.
  std::optional<std::uint32_t> mode;
  /// The longest time for the copy, then Error(Timeout). None: no limit.
  std::optional<std::chrono::milliseconds> timeout;
  /// When triggered, the copy ends with Error(Cancelled).
  std::stop_token stop{};
};

/// What a copy moved.
struct CopyResult {
  /// Files and links that were copied; folders are not counted.
  std::uint64_t files = 0;
  /// The size of the files, their holes included.
  std::uint64_t bytes = 0;
  /// Sockets, pipes and devices that were left out.
  std::uint64_t skipped = 0;
  /// Symbolic links that were left out: see CopyLinks::Inside.
  std::uint64_t links_left_out = 0;
};

}  // namespace fireclaw
