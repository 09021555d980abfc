#include "sys/testing/file_calls.hpp"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <system_error>
#include <utility>

namespace fireclaw::sys::testing {
namespace {

thread_local FileCalls* recording = nullptr;

bool is_hex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }

std::string without_random_digits(std::string_view text) {
  constexpr std::size_t random_digits = 16;
  std::string result;
  while (!text.empty()) {
    const auto end = std::ranges::find_if_not(text, is_hex);
    const auto digits = static_cast<std::size_t>(end - text.begin());
    if (digits == random_digits) {
      result += '*';
    } else {
      result += text.substr(0, digits);
    }
    text.remove_prefix(digits);
    if (text.empty()) break;
    result += text.front();
    text.remove_prefix(1);
  }
  return result;
}

std::filesystem::path path_of(int fd) {
  std::error_code none;
  return std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(fd), none);
}

std::filesystem::path path_at(int folder, const char* name) {
  const std::filesystem::path path{name};
  if (path.is_absolute()) return path.lexically_normal();
  return ((folder == AT_FDCWD ? std::filesystem::current_path() : path_of(folder)) / path).lexically_normal();
}

/// Tells the recording, if there is one, of a call that succeeded. What is done meanwhile is not recorded.
template <typename Result, typename Tell>
Result noted(Result result, Tell tell) {
  if (recording == nullptr || result < 0) return result;
  const int error = errno;
  FileCalls& calls = *std::exchange(recording, nullptr);
  tell(calls);
  recording = &calls;
  errno = error;
  return result;
}

int open_at(int folder, const char* path, int flags, mode_t mode) {
  const auto fd = static_cast<int>(::syscall(SYS_openat, folder, path, flags, mode));
  if ((flags & (O_CREAT | O_TRUNC)) == 0) return fd;
  return noted(fd, [&](FileCalls& calls) { calls.note("create", path_at(folder, path)); });
}

int rename_at(int from_folder, const char* from, int to_folder, const char* to, unsigned flags) {
  if (flags != 0 && recording != nullptr && !recording->knows_rename_flags()) {
    errno = EINVAL;
    return -1;
  }
  const auto status = static_cast<int>(::syscall(SYS_renameat2, from_folder, from, to_folder, to, flags));
  return noted(status, [&](FileCalls& calls) {
    const bool exchange = (flags & RENAME_EXCHANGE) != 0;
    calls.note(exchange ? "exchange" : "rename", path_at(from_folder, from), exchange ? " <-> " : " -> ",
               path_at(to_folder, to));
  });
}

int remove_at(int folder, const char* name, int flags) {
  const auto status = static_cast<int>(::syscall(SYS_unlinkat, folder, name, flags));
  return noted(status, [&](FileCalls& calls) { calls.note("remove", path_at(folder, name)); });
}

ssize_t written(ssize_t count, int fd) {
  return noted(count, [&](FileCalls& calls) { calls.note("write", path_of(fd)); });
}

int synced(int status, int fd) {
  return noted(status, [&](FileCalls& calls) { calls.note("sync", path_of(fd)); });
}

}  // namespace

FileCalls::FileCalls(const std::filesystem::path& folder, std::function<void()> look)
    : folder_{std::filesystem::canonical(folder)}, look_{std::move(look)} {
  recording = this;
}

FileCalls::~FileCalls() { recording = nullptr; }

std::string FileCalls::name_of(const std::filesystem::path& path) const {
  const auto relative = path.lexically_relative(folder_);
  if (relative.empty() || *relative.begin() == "..") return {};
  return without_random_digits(relative.native());
}

void FileCalls::note(std::string_view verb, const std::filesystem::path& first, std::string_view arrow,
                     const std::filesystem::path& second) {
  const auto from = name_of(first);
  const auto to = arrow.empty() ? std::string{} : name_of(second);
  if (from.empty() && to.empty()) return;
  std::string line{verb};
  line.append(" ").append(from.empty() ? "elsewhere" : from).append(arrow).append(to);
  if (lines_.empty() || lines_.back() != line) lines_.push_back(std::move(line));
  if (look_) look_();
}

std::vector<std::string> FileCalls::lines_with(const std::vector<std::string_view>& words) const {
  std::vector<std::string> chosen;
  std::ranges::copy_if(lines_, std::back_inserter(chosen), [&](const std::string& line) {
    return std::ranges::any_of(words, [&](std::string_view word) { return line.find(word) != std::string::npos; });
  });
  return chosen;
}

}  // namespace fireclaw::sys::testing

// Seen by the shared libraries of the program too, so that the standard library's calls are recorded as well.
#define FIRECLAW_INSTEAD_OF_LIBC extern "C" __attribute__((visibility("default")))

namespace testing = fireclaw::sys::testing;

FIRECLAW_INSTEAD_OF_LIBC int open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const auto mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  return testing::open_at(AT_FDCWD, path, flags, mode);
}

FIRECLAW_INSTEAD_OF_LIBC int openat(int folder, const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const auto mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  return testing::open_at(folder, path, flags, mode);
}

FIRECLAW_INSTEAD_OF_LIBC ssize_t write(int fd, const void* bytes, size_t count) {
  return testing::written(::syscall(SYS_write, fd, bytes, count), fd);
}

FIRECLAW_INSTEAD_OF_LIBC ssize_t pwrite(int fd, const void* bytes, size_t count, off_t offset) {
  return testing::written(::syscall(SYS_pwrite64, fd, bytes, count, offset), fd);
}

FIRECLAW_INSTEAD_OF_LIBC int fsync(int fd) { return testing::synced(static_cast<int>(::syscall(SYS_fsync, fd)), fd); }

FIRECLAW_INSTEAD_OF_LIBC int fdatasync(int fd) {
  return testing::synced(static_cast<int>(::syscall(SYS_fdatasync, fd)), fd);
}

FIRECLAW_INSTEAD_OF_LIBC int rename(const char* from, const char* to) noexcept {
  return testing::rename_at(AT_FDCWD, from, AT_FDCWD, to, 0);
}

FIRECLAW_INSTEAD_OF_LIBC int renameat(int from_folder, const char* from, int to_folder, const char* to) noexcept {
  return testing::rename_at(from_folder, from, to_folder, to, 0);
}

FIRECLAW_INSTEAD_OF_LIBC int renameat2(int from_folder, const char* from, int to_folder, const char* to,
                                       unsigned flags) noexcept {
  return testing::rename_at(from_folder, from, to_folder, to, flags);
}

FIRECLAW_INSTEAD_OF_LIBC int link(const char* from, const char* to) noexcept {
  const auto status = static_cast<int>(::syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0));
  return testing::noted(status, [&](testing::FileCalls& calls) { calls.note("link", testing::path_at(AT_FDCWD, to)); });
}

FIRECLAW_INSTEAD_OF_LIBC int unlink(const char* path) noexcept { return testing::remove_at(AT_FDCWD, path, 0); }

FIRECLAW_INSTEAD_OF_LIBC int unlinkat(int folder, const char* name, int flags) noexcept {
  return testing::remove_at(folder, name, flags);
}

FIRECLAW_INSTEAD_OF_LIBC int remove(const char* path) noexcept {
  const int status = testing::remove_at(AT_FDCWD, path, 0);
  return status < 0 && errno == EISDIR ? testing::remove_at(AT_FDCWD, path, AT_REMOVEDIR) : status;
}
