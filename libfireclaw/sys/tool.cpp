#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>

#include "base/scope.hpp"
#include "sys/confined_tool.hpp"
#include "sys/poll.hpp"
#include "sys/process.hpp"

namespace fireclaw::sys {
namespace {

constexpr std::size_t most_collected = std::size_t{16} << 20;
constexpr std::size_t longest_line = std::size_t{64} << 10;
constexpr std::size_t most_quoted = 2000;

// One output of the tool: collects it and cuts it into lines.
class Stream {
 public:
  Stream(Fd pipe, std::string& collected, const std::function<void(std::string_view)>& on_line)
      : pipe_{std::move(pipe)}, collected_{collected}, on_line_{on_line} {
    set_nonblocking(pipe_->get(), true);
  }

  /// -1, which poll(2) ignores, once it has ended.
  [[nodiscard]] int fd() const { return pipe_ ? pipe_->get() : -1; }

  /// Takes what is there now. At the tool's end nothing more comes from it, though a daemon that it left behind may
  /// hold the pipe open.
  void drain() {
    std::array<std::byte, 16384> buffer;
    while (pipe_) {
      const std::ptrdiff_t got = read_some(pipe_->get(), buffer);
      if (got < 0) return;
      if (got == 0) {
        pipe_.reset();
      } else {
        take({reinterpret_cast<const char*>(buffer.data()), static_cast<std::size_t>(got)});
      }
    }
  }

  void finish() {
    drain();
    if (on_line_ && !line_.empty()) emit(line_);
    line_.clear();
  }

 private:
  void take(std::string_view text) {
    collected_.append(text.substr(0, most_collected - collected_.size()));
    if (!on_line_) return;
    while (!text.empty()) {
      const std::size_t end = text.find('\n');
      line_.append(text.substr(0, end));
      if (end != std::string_view::npos || line_.size() > longest_line) {
        emit(line_);
        line_.clear();
      }
      text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    }
  }

  void emit(std::string_view line) {
    if (line.ends_with('\r')) line.remove_suffix(1);
    on_line_(line);
  }

  std::optional<Fd> pipe_;
  std::string& collected_;
  const std::function<void(std::string_view)>& on_line_;
  std::string line_;
};

std::string name_of(const std::vector<std::string>& argv) {
  return argv.empty() ? "" : std::filesystem::path{argv[0]}.filename().string();
}

// The end of a text, cut at a line's start where that is possible, on one line.
std::string last_lines(std::string_view text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.remove_suffix(1);
  if (text.size() > most_quoted) {
    text.remove_prefix(text.size() - most_quoted);
    const std::size_t line_end = text.find('\n');
    if (line_end != std::string_view::npos) text.remove_prefix(line_end + 1);
  }
  std::string quoted;
  for (const char c : text) {
    if (c == '\n') {
      quoted += "; ";
    } else if (c != '\r') {
      quoted += c;
    }
  }
  return quoted;
}

void set_limit(pid_t pid, int resource, std::uint64_t value) {
  if (value == 0) return;
  rlimit limit{};
  const auto kind = static_cast<__rlimit_resource>(resource);
  check(::prlimit(pid, kind, nullptr, &limit), "read a tool's limits");
  limit.rlim_max = std::min<rlim_t>(limit.rlim_max, value);
  limit.rlim_cur = limit.rlim_max;
  check(::prlimit(pid, kind, &limit, nullptr), "limit a tool");
}

ToolResult run(std::vector<std::string> argv, const ToolOptions& options, const std::optional<Sandbox>& plan,
               const ToolLimits& limits) {
  const std::string name = name_of(argv);
  ToolResult result;
  SpawnSpec spec;
  spec.argv = std::move(argv);
  spec.search_path = options.search_path;
  spec.env = options.env;
  spec.cwd = options.cwd;
  spec.sandbox = plan;
  // Its own group, so that the helpers which the tool started can be ended together with it.
  spec.new_session = true;
  if (options.input_fd) spec.fds.emplace_back(*options.input_fd, 0);

  Pipe out_pipe = make_pipe();
  Pipe err_pipe = make_pipe();
  spec.fds.emplace_back(options.output_fd.value_or(out_pipe.write.get()), 1);
  spec.fds.emplace_back(err_pipe.write.get(), 2);
  Child child = Child::spawn(spec);
  { const Pipe given{std::move(out_pipe.write), std::move(err_pipe.write)}; }
  // Not reaped before this function returns, so the group's number is still its own.
  ScopeGuard kill_group{[pid = child.id().pid] { ::kill(-pid, SIGKILL); }};
  // It may have begun, but has not got far.
  set_limit(child.id().pid, RLIMIT_AS, limits.memory_bytes);
  set_limit(child.id().pid, RLIMIT_CPU, limits.cpu_seconds);

  Stream out{std::move(out_pipe.read), result.out, options.on_line};
  Stream err{std::move(err_pipe.read), result.err, options.on_line};
  const StopFd stop{options.stop};
  for (;;) {
    std::array<pollfd, 4> polled{pollfd{out.fd(), POLLIN, 0}, pollfd{err.fd(), POLLIN, 0},
                                 pollfd{child.pidfd(), POLLIN, 0}, pollfd{stop.fd(), POLLIN, 0}};
    const int ready = ::poll(polled.data(), polled.size(), options.deadline.poll_timeout_ms());
    if (ready < 0 && errno != EINTR) throw_errno("poll");
    if (stop.requested()) throw Error{ErrorCode::Cancelled, name + " cancelled"};
    // Looked at before the pipes are read: whatever the tool wrote before its end is then in them.
    const bool ended = ready > 0 && polled[2].revents != 0;
    if (ended) {
      out.finish();
      err.finish();
      kill_group.release();
      result.status = child.wait(Deadline::never()).value();
      return result;
    }
    if (options.deadline.passed()) throw Error{ErrorCode::Timeout, name + " timed out"};
    if (ready > 0 && polled[0].revents != 0) out.drain();
    if (ready > 0 && polled[1].revents != 0) err.drain();
  }
}

}  // namespace

ToolResult run_tool(std::vector<std::string> argv, const ToolOptions& options) {
  return run(std::move(argv), options, std::nullopt, {});
}

ToolResult run_confined_tool(std::vector<std::string> argv, const ToolOptions& options, const Sandbox& plan,
                             const ToolLimits& limits) {
  return run(std::move(argv), options, plan, limits);
}

ToolResult check_tool(std::vector<std::string> argv, const ToolOptions& options) {
  const std::string name = name_of(argv);
  ToolResult result = run_tool(std::move(argv), options);
  if (!result.status.success()) {
    const std::string reason = last_lines(result.err);
    throw Error{ErrorCode::Io,
                fmt::format("{} {}{}{}", name, result.status.describe(), reason.empty() ? "" : ": ", reason)};
  }
  return result;
}

}  // namespace fireclaw::sys
