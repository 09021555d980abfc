#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/deadline.hpp"
#include "sys/fd.hpp"

namespace fireclaw::sys {

/// open(2), close-on-exec; the error names the path.
Fd open_file(const std::filesystem::path& path, int flags, mode_t mode = 0600);
/// The whole file; Error(Corrupt) if it is longer than `max_bytes`.
std::string read_file(const std::filesystem::path& path, std::size_t max_bytes = std::size_t{64} << 20);
/// The last `max_bytes` of a file; empty if there is none.
std::string read_tail(const std::filesystem::path& path, std::size_t max_bytes);
/// Written beside, synced, renamed over `path`, folder synced: afterwards the file is the old one or the new one, and
/// nothing else is left, unless the process was killed meanwhile: then a file ".fireclaw-*.tmp" may be. A symbolic link
/// at `path` is replaced, not followed. The mode is exact, regardless of the umask.
void write_file_atomic(const std::filesystem::path& path, std::string_view content, mode_t mode = 0600);
/// The same without waiting for the disk. Readers and crashed processes still see the old file or the new one; only a
/// power failure may leave a torn one.
void replace_file(const std::filesystem::path& path, std::string_view content, mode_t mode = 0600);
/// The same for records that mean nothing after a reboot, which a power failure may leave empty. ext4 and btrfs write
/// out at once what is renamed over a file, which takes up to 2 ms; so the two files are exchanged, and the old one is
/// removed.
void replace_runtime_file(const std::filesystem::path& path, std::string_view content, mode_t mode = 0600);
/// Puts a file that is written already in place of another like that.
void rename_runtime_file(const std::filesystem::path& from, const std::filesystem::path& to);
void sync_fd(int fd, const std::filesystem::path& name_for_errors);
void sync_directory(const std::filesystem::path& directory);

/// When to give up copying a file: Error(Timeout), Error(Cancelled).
struct CopyLimits {
  Deadline deadline = Deadline::never();
  std::stop_token stop;
};
/// A copy that shares blocks where the file system can (FICLONE), else copies only the data, keeping holes.
/// `target` must not exist. Returns true if blocks are shared.
bool clone_file(const std::filesystem::path& source, const std::filesystem::path& target, mode_t mode = 0600,
                const CopyLimits& limits = {});
/// Whether a copy of the file made in `folder` would share blocks with it. Tried out there.
bool shares_blocks(const std::filesystem::path& source, const std::filesystem::path& folder);
/// Renames a file, over an existing one. If `target` is on another file system it is copied and synced, then removed
/// here.
void move_file(const std::filesystem::path& source, const std::filesystem::path& target);
/// Copies what is data in `source` (SEEK_DATA) to the same offsets of `target`, skipping pages that are all zero,
/// and sets the target's length. What the target held before is gone. Returns the bytes written.
std::uint64_t copy_sparse(int source, int target, const CopyLimits& limits = {});
/// Bytes that the file takes on disk.
std::uint64_t allocated_bytes(const std::filesystem::path& path);
/// Bytes an ordinary user may still write to the file system of `path`.
std::uint64_t free_bytes(const std::filesystem::path& path);

/// mkdir -p, each new folder with `mode`. An existing path that is not a folder: Error(InvalidState).
void make_directories(const std::filesystem::path& path, mode_t mode = 0700);

/// flock(2) on its own file (created if need be), held until destruction.
class FileLock {
 public:
  enum class Mode { Shared, Exclusive };
  /// Waits until the deadline; Error(Timeout) naming `what` then. With a deadline the lock is tried again and again, in
  /// steps growing to 50 ms, since the kernel offers no timed wait; without one it is had as soon as it is free.
  /// The lock file may be removed by its holder.
  static FileLock acquire(const std::filesystem::path& path, Mode mode, Deadline deadline, std::string_view what);
  /// nullopt if somebody else holds it.
  static std::optional<FileLock> try_acquire(const std::filesystem::path& path, Mode mode);
  /// Borrowed: the lock file, open for reading and writing.
  [[nodiscard]] int get() const noexcept { return fd_.get(); }
  /// The descriptor that holds the lock: closing it unlocks.
  [[nodiscard]] Fd into_fd() && { return std::move(fd_); }

 private:
  explicit FileLock(Fd fd) : fd_{std::move(fd)} {}
  Fd fd_;
};

/// A folder under `parent` with a unique name, removed with all in it on destruction unless kept.
class TempDir {
 public:
  TempDir(const std::filesystem::path& parent, std::string_view prefix);
  TempDir(TempDir&& other) noexcept;
  TempDir& operator=(TempDir&&) = delete;
  ~TempDir();
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
  /// Renames it to `target` (same file system) and keeps it. Error(AlreadyExists) if the target exists.
  void publish(const std::filesystem::path& target);
  /// Swaps it with the folder `target` in one step, so that others find one or the other at any moment: what was there
  /// is what this object removes. False, and nothing is done, where the file system cannot.
  [[nodiscard]] bool exchange(const std::filesystem::path& target) const;

 private:
  std::filesystem::path path_;
};

/// Removes a tree or a file; missing is fine. Never follows symbolic links, opens up folders that lack permissions, and
/// copes with any depth. A path that ends in "." or ".." or means the root is refused: Error(InvalidArgument).
void remove_tree(const std::filesystem::path& path);

}  // namespace fireclaw::sys
