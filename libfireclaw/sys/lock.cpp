#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>

#include "sys/file.hpp"

namespace fireclaw::sys {
namespace {

int operation_for(FileLock::Mode mode) {
  switch (mode) {
    case FileLock::Mode::Shared: return LOCK_SH;
    case FileLock::Mode::Exclusive: return LOCK_EX;
  }
  return LOCK_EX;
}

// A holder may remove the lock file together with what it guards. A lock on a file that is no longer the one at
// `path` excludes nobody.
bool is_still_at(int fd, const std::filesystem::path& path) {
  struct stat locked;
  struct stat current;
  check(::fstat(fd, &locked), fmt::format("lock '{}'", path.string()));
  if (::stat(path.c_str(), &current) < 0) {
    if (errno == ENOENT) return false;
    throw_errno(fmt::format("lock '{}'", path.string()));
  }
  return locked.st_dev == current.st_dev && locked.st_ino == current.st_ino;
}

}  // namespace

FileLock FileLock::acquire(const std::filesystem::path& path, Mode mode, Deadline deadline, std::string_view what) {
  if (deadline.is_never()) {
    for (;;) {
      Fd file = open_file(path, O_RDWR | O_CREAT, 0600);
      check(retry([&] { return ::flock(file.get(), operation_for(mode)); }), fmt::format("lock '{}'", path.string()));
      if (is_still_at(file.get(), path)) return FileLock{std::move(file)};
    }
  }
  // flock(2) knows no time limit, and a signal to end it would be the host program's business. So it is tried again,
  // ever more slowly: at most 20 times a second.
  std::chrono::milliseconds pause{1};
  for (;;) {
    if (auto lock = try_acquire(path, mode)) return std::move(*lock);
    if (deadline.passed()) {
      throw Error{ErrorCode::Timeout, fmt::format("{}: another process holds '{}'", what, path.string())};
    }
    ::poll(nullptr, 0, Deadline::after(pause).sooner(deadline).poll_timeout_ms());
    pause = std::min(2 * pause, std::chrono::milliseconds{50});
  }
}

std::optional<FileLock> FileLock::try_acquire(const std::filesystem::path& path, Mode mode) {
  for (;;) {
    Fd file = open_file(path, O_RDWR | O_CREAT, 0600);
    if (retry([&] { return ::flock(file.get(), operation_for(mode) | LOCK_NB); }) < 0) {
      if (errno == EWOULDBLOCK) return std::nullopt;
      throw_errno(fmt::format("lock '{}'", path.string()));
    }
    if (is_still_at(file.get(), path)) return FileLock{std::move(file)};
  }
}

}  // namespace fireclaw::sys
