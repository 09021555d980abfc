#include <fcntl.h>
#include <fmt/format.h>
#include <linux/fs.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "base/scope.hpp"
#include "fireclaw/error.hpp"
#include "sys/file.hpp"
#include "sys/unfinished_file.hpp"

namespace fireclaw::sys {
namespace {

constexpr std::size_t page_bytes = 4096;
// Large enough to make system calls cheap, small enough to stay in the second-level cache between read and write.
constexpr std::size_t block_bytes = std::size_t{512} << 10;

// memcmp of the page against itself, shifted: the C library's vector code does the work in every build type.
bool is_zero(std::span<const std::byte> page) {
  return page[0] == std::byte{0} && std::memcmp(page.data(), page.data() + 1, page.size() - 1) == 0;
}

void write_at(int fd, std::span<const std::byte> bytes, off_t offset) {
  while (!bytes.empty()) {
    const ssize_t written =
        check(retry([&] { return ::pwrite(fd, bytes.data(), bytes.size(), offset); }), "write the copy");
    bytes = bytes.subspan(static_cast<std::size_t>(written));
    offset += written;
  }
}

// Writes the runs of pages that are not all zero; returns the bytes written.
std::uint64_t write_nonzero(int fd, std::span<const std::byte> block, off_t offset) {
  std::uint64_t total = 0;
  std::size_t position = 0;
  const auto page_at = [&](std::size_t at) { return block.subspan(at, std::min(page_bytes, block.size() - at)); };
  while (position < block.size()) {
    while (position < block.size() && is_zero(page_at(position))) position += page_bytes;
    const std::size_t start = std::min(position, block.size());
    while (position < block.size() && !is_zero(page_at(position))) position += page_bytes;
    const std::size_t end = std::min(position, block.size());
    write_at(fd, block.subspan(start, end - start), offset + static_cast<off_t>(start));
    total += end - start;
  }
  return total;
}

struct Extent {
  off_t begin;
  off_t end;
};

// The first stretch of data at or after `from`, or nullopt if only a hole is left.
std::optional<Extent> next_data(int fd, off_t from, off_t size) {
  const off_t begin = ::lseek(fd, from, SEEK_DATA);
  if (begin < 0) {
    if (errno == ENXIO) return std::nullopt;
    // A file system that does not know about holes: everything is data.
    if (errno == EINVAL || errno == EOPNOTSUPP) return Extent{from, size};
    throw_errno("look for data in a sparse file");
  }
  const off_t end = ::lseek(fd, begin, SEEK_HOLE);
  return Extent{begin, std::min(size, end < 0 ? size : end)};
}

bool cannot_clone(int error) {
  return error == EOPNOTSUPP || error == ENOTTY || error == EXDEV || error == EINVAL || error == ENOSYS ||
         error == ETXTBSY || error == EPERM;
}

}  // namespace

std::uint64_t copy_sparse(int source, int target, const CopyLimits& limits) {
  const off_t size = check(::lseek(source, 0, SEEK_END), "read a file's length");
  // What is skipped must read as zero afterwards, so nothing old may stay in the target.
  check(::ftruncate(target, 0), "size the copy");
  check(::ftruncate(target, size), "size the copy");
  std::vector<std::byte> buffer(block_bytes);
  std::uint64_t written = 0;
  off_t position = 0;
  while (position < size) {
    const std::optional<Extent> extent = next_data(source, position, size);
    if (!extent) break;
    position = extent->begin;
    while (position < extent->end) {
      if (limits.stop.stop_requested()) throw Error{ErrorCode::Cancelled, "copying was cancelled"};
      limits.deadline.check("copying");
      const std::size_t wanted = std::min(block_bytes, static_cast<std::size_t>(extent->end - position));
      const ssize_t got =
          check(retry([&] { return ::pread(source, buffer.data(), wanted, position); }), "read the original");
      if (got == 0) return written;  // cut short meanwhile; the rest reads as zero
      written += write_nonzero(target, std::span{buffer}.first(static_cast<std::size_t>(got)), position);
      position += got;
    }
  }
  return written;
}

bool clone_file(const std::filesystem::path& source, const std::filesystem::path& target, mode_t mode,
                const CopyLimits& limits) {
  const Fd from = open_file(source, O_RDONLY);
  const Fd to = open_file(target, O_RDWR | O_CREAT | O_EXCL, mode);
  ScopeGuard remove{[&] { ::unlink(target.c_str()); }};
  bool shared = true;
  if (::ioctl(to.get(), FICLONE, from.get()) < 0) {
    const std::string what = fmt::format("copy '{}' to '{}'", source.string(), target.string());
    if (!cannot_clone(errno)) throw_errno(what);
    shared = false;
    try {
      copy_sparse(from.get(), to.get(), limits);
    } catch (Error& error) {
      error.add_context(what);
      throw;
    }
  }
  remove.release();
  return shared;
}

void move_file(const std::filesystem::path& source, const std::filesystem::path& target) {
  const auto rename = [&](const std::filesystem::path& from) { return ::rename(from.c_str(), target.c_str()) == 0; };
  if (rename(source)) return;
  if (errno != EXDEV) throw_errno(fmt::format("move '{}' to '{}'", source.string(), target.string()));
  // Beside it first: nobody is to find half of it there.
  const TempDir aside{target.parent_path(), ".move-"};
  const auto copy = aside.path() / "file";
  clone_file(source, copy);
  sync_fd(open_file(copy, O_RDONLY).get(), copy);
  if (!rename(copy)) throw_errno(fmt::format("move '{}' to '{}'", source.string(), target.string()));
  ::unlink(source.c_str());
}

bool shares_blocks(const std::filesystem::path& source, const std::filesystem::path& folder) {
  const auto trial = unfinished_file_in(folder);
  const Fd from = open_file(source, O_RDONLY);
  const Fd to = open_file(trial, O_RDWR | O_CREAT | O_EXCL, 0600);
  const ScopeGuard remove{[&] { ::unlink(trial.c_str()); }};
  return ::ioctl(to.get(), FICLONE, from.get()) == 0;
}

}  // namespace fireclaw::sys
