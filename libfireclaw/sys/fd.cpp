#include "sys/fd.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cctype>
#include <cstring>

#include "base/scope.hpp"
#include "sys/poll.hpp"

namespace fireclaw::sys {
namespace {

ErrorCode code_for(int error) {
  switch (error) {
    case ENOENT: return ErrorCode::NotFound;
    case EACCES:
    case EPERM: return ErrorCode::PermissionDenied;
    case EEXIST: return ErrorCode::AlreadyExists;
    case ETIMEDOUT: return ErrorCode::Timeout;
    default: return ErrorCode::Io;
  }
}

// write(2) to a pipe nobody reads raises SIGPIPE, and what the host program does with that signal is not ours to
// change. So it is blocked in this thread meanwhile, and taken back if it is the write that raised it.
ssize_t write_without_sigpipe(int fd, std::span<const std::byte> bytes) {
  sigset_t sigpipe;
  sigset_t before;
  sigset_t pending;
  sigemptyset(&sigpipe);
  sigaddset(&sigpipe, SIGPIPE);
  sigpending(&pending);
  const bool was_pending = sigismember(&pending, SIGPIPE) == 1;
  pthread_sigmask(SIG_BLOCK, &sigpipe, &before);
  const ssize_t written = retry([&] { return ::write(fd, bytes.data(), bytes.size()); });
  const int error = errno;
  if (written < 0 && error == EPIPE && !was_pending) {
    const timespec at_once{};
    retry([&] { return ::sigtimedwait(&sigpipe, nullptr, &at_once); });
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  errno = error;
  return written;
}

}  // namespace

Fd& Fd::operator=(Fd&& other) noexcept {
  if (this != &other) {
    Fd old{std::exchange(fd_, std::exchange(other.fd_, -1))};
  }
  return *this;
}

Fd::~Fd() {
  // Linux frees the number even when close() reports EINTR, so it is never repeated.
  if (fd_ >= 0) ::close(fd_);
}

Error system_error(int error, std::string_view what) {
  const char* known = ::strerrordesc_np(error);
  std::string reason = known != nullptr ? known : "unknown error " + std::to_string(error);
  if (reason.size() > 1 && std::islower(static_cast<unsigned char>(reason[1])) != 0) {
    reason[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(reason[0])));
  }
  if (error == ENOSPC) reason += " (the disk is full)";
  return Error{code_for(error), std::string{what} + ": " + reason};
}

void throw_errno(std::string_view what) { throw system_error(errno, what); }

Pipe make_pipe() {
  int ends[2];
  check(::pipe2(ends, O_CLOEXEC), "create a pipe");
  return Pipe{Fd{ends[0]}, Fd{ends[1]}};
}

Fd duplicate(int fd) { return Fd{check(::fcntl(fd, F_DUPFD_CLOEXEC, 0), "duplicate a descriptor")}; }

Fd make_memfd(const std::string& name, std::size_t bytes) {
  Fd fd{check(::memfd_create(name.c_str(), MFD_CLOEXEC), "create a memory file")};
  check(::ftruncate(fd.get(), static_cast<off_t>(bytes)), "size a memory file");
  return fd;
}

std::ptrdiff_t read_some(int fd, std::span<std::byte> buffer) {
  const ssize_t got = retry([&] { return ::read(fd, buffer.data(), buffer.size()); });
  if (got < 0 && errno == EAGAIN) return -1;
  return check(got, "read");
}

std::ptrdiff_t write_some(int fd, std::span<const std::byte> bytes) {
  ssize_t written = retry([&] { return ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL); });
  if (written < 0 && errno == ENOTSOCK) written = write_without_sigpipe(fd, bytes);
  if (written < 0 && errno == EAGAIN) return -1;
  return check(written, "write");
}

void write_all(int fd, std::span<const std::byte> bytes, Deadline deadline) {
  while (!bytes.empty()) {
    const std::ptrdiff_t written = write_some(fd, bytes);
    if (written >= 0) {
      bytes = bytes.subspan(static_cast<std::size_t>(written));
    } else {
      require_fd(fd, POLLOUT, deadline, "write");
    }
  }
}

void write_all(int fd, std::string_view text, Deadline deadline) {
  write_all(fd, std::as_bytes(std::span{text}), deadline);
}

void set_nonblocking(int fd, bool on) {
  const int flags = check(::fcntl(fd, F_GETFL), "read a descriptor's flags");
  const int wanted = on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
  if (wanted != flags) check(::fcntl(fd, F_SETFL, wanted), "change a descriptor's flags");
}

}  // namespace fireclaw::sys
