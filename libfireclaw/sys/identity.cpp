#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <charconv>

#include "sys/poll.hpp"
#include "sys/process.hpp"
#include "sys/stat_line.hpp"

namespace fireclaw::sys {
namespace {

constexpr std::chrono::seconds dying_limit{1};

std::optional<StatLine> read_stat(pid_t pid) {
  const int fd = retry([&] { return ::open(fmt::format("/proc/{}/stat", pid).c_str(), O_RDONLY | O_CLOEXEC); });
  if (fd < 0 && (errno == ENOENT || errno == ESRCH)) return std::nullopt;
  const std::string what = fmt::format("read /proc/{}/stat", pid);
  const Fd file{check(fd, what)};
  char buffer[1024];
  const ssize_t got = retry([&] { return ::read(file.get(), buffer, sizeof buffer); });
  if (got < 0 && errno == ESRCH) return std::nullopt;
  check(got, what);
  const auto line = parse_stat_line({buffer, static_cast<std::size_t>(got)});
  if (!line) throw Error{ErrorCode::Io, what + ": unexpected content"};
  return line;
}

}  // namespace

std::optional<StatLine> parse_stat_line(std::string_view text) {
  // "pid (comm) state ppid ...": comm is whatever the program calls itself, so the last parenthesis counts.
  const std::size_t name_end = text.rfind(')');
  if (name_end == std::string_view::npos || name_end + 2 >= text.size()) return std::nullopt;
  std::string_view rest = text.substr(name_end + 2);
  const char state = rest.front();
  constexpr int fields_before_start_time = 22 - 3;
  for (int field = 0; field < fields_before_start_time; ++field) {
    const std::size_t space = rest.find(' ');
    if (space == std::string_view::npos) return std::nullopt;
    rest.remove_prefix(space + 1);
  }
  StatLine line{state, 0};
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), line.start_time);
  if (error != std::errc{} || end == rest.data()) return std::nullopt;
  return line;
}

std::optional<ProcessId> identify_even_ended(pid_t pid) {
  const auto line = read_stat(pid);
  if (!line) return std::nullopt;
  return ProcessId{pid, line->start_time};
}

ProcessId current_process() {
  const auto id = identify(::getpid());
  if (!id) throw Error{ErrorCode::Unsupported, "/proc does not show this process; mount proc on /proc"};
  return *id;
}

std::optional<ProcessId> identify(pid_t pid) {
  if (pid <= 0) return std::nullopt;
  const auto line = read_stat(pid);
  if (!line || line->state == 'Z' || line->state == 'X' || line->state == 'x') return std::nullopt;
  return ProcessId{pid, line->start_time};
}

bool is_alive(const ProcessId& id) { return identify(id.pid) == id; }

std::optional<Fd> open_pidfd_even_ended(const ProcessId& id) {
  if (id.pid <= 0) return std::nullopt;
  const int fd = static_cast<int>(::syscall(SYS_pidfd_open, id.pid, 0));
  // EINVAL: the number now belongs to a thread of another process.
  if (fd < 0 && (errno == ESRCH || errno == EINVAL)) return std::nullopt;
  Fd pidfd{check(fd, fmt::format("open process {}", id.pid))};
  // Only now: the descriptor cannot change its process any more, so if the numbers still match, it is the right one.
  if (identify_even_ended(id.pid) != id) return std::nullopt;
  return pidfd;
}

std::optional<Fd> open_pidfd(const ProcessId& id) {
  auto pidfd = open_pidfd_even_ended(id);
  if (!pidfd || !is_alive(id)) return std::nullopt;
  return pidfd;
}

bool is_ending(const ProcessId& id) {
  const auto pidfd = open_pidfd(id);
  return !pidfd || wait_fd(pidfd->get(), POLLIN, Deadline::after(dying_limit)) == WaitResult::Ready;
}

bool send_signal(const ProcessId& id, int signal) {
  const auto pidfd = open_pidfd(id);
  if (!pidfd) return false;
  if (::syscall(SYS_pidfd_send_signal, pidfd->get(), signal, nullptr, 0) < 0) {
    if (errno == ESRCH) return false;
    throw_errno(fmt::format("send signal {} to process {}", signal, id.pid));
  }
  return true;
}

}  // namespace fireclaw::sys
