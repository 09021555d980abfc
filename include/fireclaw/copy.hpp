#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>

namespace fireclaw {

/// What becomes of symbolic links in a tree that is copied out of a machine.
enum class CopyLinks {
  Inside,  ///< those that stay within the tree are copied, the others left out and counted
  Keep,    ///< all are copied as they are
};

/// How files are copied into a machine or out of it.
struct CopyOptions {
  /// Of links that a machine gives. One that is copied by itself leads out of its tree, which is nothing but it. What
  /// is copied into a machine keeps its links.
  CopyLinks links = CopyLinks::Inside;
  /// What a copy out of a machine may write, holes not counted; 0: three quarters of what is free where it goes. More
  /// is Error(Io), and what was there stays.
  std::uint64_t max_bytes = 0;
  /// How many files, links and folders it may make; 0: three quarters of what the file system has room for.
  std::uint64_t max_files = 0;
  /// The owner of files that are copied in: a user's name or numeric "uid[:gid]" in the guest. Empty: the OCI image's
  /// user, else root.
  std::string owner;
  /// Permission bits of files that are copied in. None: those that they have. Folders keep theirs.
  std::optional<std::uint32_t> mode;
  /// How long it may take, then Error(Timeout). None: no limit.
  std::optional<std::chrono::milliseconds> timeout;
  /// When triggered, the copy ends with Error(Cancelled).
  std::stop_token stop{};
};

/// What a copy moved.
struct CopyResult {
  /// Everything but folders.
  std::uint64_t files = 0;
  /// What was in the files, their holes included.
  std::uint64_t bytes = 0;
  /// Sockets, pipes and devices, which are left out.
  std::uint64_t skipped = 0;
  /// Symbolic links that were left out: see CopyLinks::Inside.
  std::uint64_t links_left_out = 0;
};

}  // namespace fireclaw
