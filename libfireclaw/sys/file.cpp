#include "sys/file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>

#include "base/scope.hpp"
#include "sys/unfinished_file.hpp"

namespace fireclaw::sys {
namespace {

std::filesystem::path folder_of(const std::filesystem::path& path) {
  return path.has_parent_path() ? path.parent_path() : std::filesystem::path{"."};
}

struct stat stat_of(int fd, const std::filesystem::path& path) {
  struct stat status;
  check(::fstat(fd, &status), fmt::format("read the properties of '{}'", path.string()));
  return status;
}

}  // namespace

Fd open_file(const std::filesystem::path& path, int flags, mode_t mode) {
  return Fd{check(retry([&] { return ::open(path.c_str(), flags | O_CLOEXEC, mode); }),
                  fmt::format("open '{}'", path.string()))};
}

std::string read_file(const std::filesystem::path& path, std::size_t max_bytes) {
  const Fd file = open_file(path, O_RDONLY);
  const std::string what = fmt::format("read '{}'", path.string());
  // Files in /proc say they are empty, so the length is only a first guess; one byte more tells the end of file.
  const auto guess = static_cast<std::size_t>(std::max<off_t>(stat_of(file.get(), path).st_size, 0));
  std::string content(std::min(guess, max_bytes) + 1, '\0');
  std::size_t length = 0;
  for (;;) {
    if (length == content.size()) content.resize(2 * content.size() + 4096);
    const ssize_t got =
        check(retry([&] { return ::read(file.get(), content.data() + length, content.size() - length); }), what);
    length += static_cast<std::size_t>(got);
    if (length > max_bytes) {
      throw Error{ErrorCode::Corrupt, fmt::format("'{}' is longer than {} bytes", path.string(), max_bytes)};
    }
    if (got == 0) break;
  }
  content.resize(length);
  return content;
}

std::string read_tail(const std::filesystem::path& path, std::size_t max_bytes) {
  const int fd = retry([&] { return ::open(path.c_str(), O_RDONLY | O_CLOEXEC); });
  if (fd < 0 && errno == ENOENT) return {};
  const std::string what = fmt::format("read '{}'", path.string());
  const Fd file{check(fd, what)};
  const off_t size = stat_of(file.get(), path).st_size;
  const auto wanted = std::min(static_cast<std::size_t>(size), max_bytes);
  std::string tail(wanted, '\0');
  std::size_t length = 0;
  const off_t start = size - static_cast<off_t>(wanted);
  while (length < wanted) {
    const ssize_t got =
        check(retry([&] {
                return ::pread(file.get(), tail.data() + length, wanted - length, start + static_cast<off_t>(length));
              }),
              what);
    if (got == 0) break;
    length += static_cast<std::size_t>(got);
  }
  tail.resize(length);
  return tail;
}

namespace {

enum class Durability { Synced, Ordered, Runtime };

void write_and_rename(const std::filesystem::path& path, std::string_view content, mode_t mode, Durability durability) {
  const std::string what = fmt::format("write '{}'", path.string());
  const std::filesystem::path folder = folder_of(path);
  const auto temporary = unfinished_file_in(folder);
  const Fd file{
      check(retry([&] { return ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600); }), what)};
  ScopeGuard remove{[&] { ::unlink(temporary.c_str()); }};
  while (!content.empty()) {
    const ssize_t written = check(retry([&] { return ::write(file.get(), content.data(), content.size()); }), what);
    content.remove_prefix(static_cast<std::size_t>(written));
  }
  check(::fchmod(file.get(), mode), what);
  switch (durability) {
    case Durability::Runtime: rename_runtime_file(temporary, path); break;
    case Durability::Ordered: check(::rename(temporary.c_str(), path.c_str()), what); break;
    case Durability::Synced:
      check(retry([&] { return ::fsync(file.get()); }), what);
      check(::rename(temporary.c_str(), path.c_str()), what);
      sync_directory(folder);
      break;
  }
  remove.release();
}

}  // namespace

void write_file_atomic(const std::filesystem::path& path, std::string_view content, mode_t mode) {
  write_and_rename(path, content, mode, Durability::Synced);
}

void replace_file(const std::filesystem::path& path, std::string_view content, mode_t mode) {
  write_and_rename(path, content, mode, Durability::Ordered);
}

void replace_runtime_file(const std::filesystem::path& path, std::string_view content, mode_t mode) {
  write_and_rename(path, content, mode, Durability::Runtime);
}

void rename_runtime_file(const std::filesystem::path& from, const std::filesystem::path& to) {
  struct stat there;
  const bool is_file = ::lstat(to.c_str(), &there) == 0 && !S_ISDIR(there.st_mode);
  if (is_file && ::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_EXCHANGE) == 0) {
    ::unlink(from.c_str());  // the new one is in place, whatever comes of the old one
    return;
  }
  // There is nothing yet, or the file system cannot exchange.
  check(::rename(from.c_str(), to.c_str()), fmt::format("rename '{}' to '{}'", from.string(), to.string()));
}

void sync_fd(int fd, const std::filesystem::path& name_for_errors) {
  check(retry([&] { return ::fsync(fd); }), fmt::format("write '{}' to disk", name_for_errors.string()));
}

void sync_directory(const std::filesystem::path& directory) {
  const Fd folder = open_file(directory, O_RDONLY | O_DIRECTORY);
  // Some file systems cannot sync a folder and say so with EINVAL; there is nothing to wait for then.
  if (retry([&] { return ::fsync(folder.get()); }) < 0 && errno != EINVAL) {
    throw_errno(fmt::format("write folder '{}' to disk", directory.string()));
  }
}

std::uint64_t allocated_bytes(const std::filesystem::path& path) {
  struct stat status;
  check(::stat(path.c_str(), &status), fmt::format("read the properties of '{}'", path.string()));
  return static_cast<std::uint64_t>(status.st_blocks) * 512;
}

std::uint64_t free_bytes(const std::filesystem::path& path) {
  struct statvfs status;
  check(::statvfs(path.c_str(), &status), fmt::format("read the free space at '{}'", path.string()));
  return static_cast<std::uint64_t>(status.f_bavail) * status.f_frsize;
}

}  // namespace fireclaw::sys
