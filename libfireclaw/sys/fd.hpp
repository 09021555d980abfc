#pragma once

#include <cerrno>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/deadline.hpp"
#include "fireclaw/error.hpp"

namespace fireclaw::sys {

/// Owns one file descriptor and closes it. Never empty except after a move.
class Fd {
 public:
  explicit Fd(int fd) noexcept : fd_{fd} {}
  Fd(Fd&& other) noexcept : fd_{std::exchange(other.fd_, -1)} {}
  Fd& operator=(Fd&& other) noexcept;
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd();

  [[nodiscard]] int get() const noexcept { return fd_; }
  /// Gives up ownership.
  [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

/// The Error for errno value `error`: "<what>: <strerror>", with the code that fits (ENOENT: NotFound, EACCES and
/// EPERM: PermissionDenied, EEXIST: AlreadyExists, ETIMEDOUT: Timeout, else Io).
Error system_error(int error, std::string_view what);

/// Throws system_error(errno, what).
[[noreturn]] void throw_errno(std::string_view what);

/// Returns `result` unless it is negative; then throws system_error(errno, what).
template <typename T>
T check(T result, std::string_view what) {
  if (result < 0) throw_errno(what);
  return result;
}

/// Calls `f` again while it fails with EINTR.
template <typename F>
auto retry(F f) -> decltype(f()) {
  for (;;) {
    const auto result = f();
    if (result >= 0 || errno != EINTR) return result;
  }
}

struct Pipe {
  Fd read;
  Fd write;
};
/// Both ends close-on-exec.
Pipe make_pipe();
/// A close-on-exec duplicate.
Fd duplicate(int fd);
/// An anonymous memory file of `bytes` bytes (sparse), close-on-exec.
Fd make_memfd(const std::string& name, std::size_t bytes);

/// Reads once: the bytes read, 0 at end of file, -1 if a non-blocking descriptor has none (EAGAIN). EINTR is retried.
std::ptrdiff_t read_some(int fd, std::span<std::byte> buffer);
/// Writes once; -1 for EAGAIN. Never raises SIGPIPE on a socket (EPIPE throws).
std::ptrdiff_t write_some(int fd, std::span<const std::byte> bytes);
/// Writes all, waiting (poll) while a non-blocking descriptor is full, until `deadline`.
void write_all(int fd, std::span<const std::byte> bytes, Deadline deadline = Deadline::never());
void write_all(int fd, std::string_view text, Deadline deadline = Deadline::never());
void set_nonblocking(int fd, bool on);

}  // namespace fireclaw::sys
