#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "base/deadline.hpp"
#include "sys/fd.hpp"
#include "sys/sandbox/sandbox.hpp"

namespace fireclaw::sys {

/// A process as recorded on disk: the pid alone may have been reused, the pair has not.
struct ProcessId {
  pid_t pid = 0;
  /// Field 22 of /proc/<pid>/stat: clock ticks after boot.
  std::uint64_t start_time = 0;

  bool operator==(const ProcessId&) const = default;
};

/// This process.
ProcessId current_process();
/// The identity of `pid` now, or nullopt if there is no such process (a zombie counts as none).
std::optional<ProcessId> identify(pid_t pid);
/// Whether that very process still runs.
bool is_alive(const ProcessId& id);
/// Sends a signal to that very process (pidfd_send_signal: no reuse race). False if it is gone.
bool send_signal(const ProcessId& id, int signal);
/// A pidfd for that very process: readable (POLLIN) once it has ended; nullopt if it is gone already.
std::optional<Fd> open_pidfd(const ProcessId& id);
/// Whether that very process has ended, or does within a second: one that was killed closes its sockets a moment before
/// it is gone.
bool is_ending(const ProcessId& id);

/// How a process ended.
struct ExitStatus {
  /// Exit status 0–255 if it exited by itself.
  std::optional<int> code;
  /// The signal that ended it, else 0.
  int signal = 0;

  [[nodiscard]] bool success() const { return code == 0; }
  /// "exited with status 3", "was killed by signal 9".
  [[nodiscard]] std::string describe() const;
  bool operator==(const ExitStatus&) const = default;
};

/// What to run. The child starts with default signal actions and nothing blocked, whatever this process does.
struct SpawnSpec {
  /// argv[0] is a path (a relative one from the caller's folder, not from `cwd`), or a name searched in `search_path`.
  std::vector<std::string> argv;
  std::vector<std::filesystem::path> search_path;
  /// The whole environment; nothing is inherited.
  std::vector<std::string> env;
  /// Working directory; empty: the caller's.
  std::filesystem::path cwd;
  /// (descriptor here, number there). Numbers 0–2 left out are /dev/null. Everything else is closed by exec.
  std::vector<std::pair<int, int>> fds;
  /// The kernel kills it (SIGKILL) when this process ends, however that comes about. Linux ties this to a thread, so
  /// such children are started by the main thread or, called from another, by one thread kept for it. That one has
  /// the namespaces of the thread that first needed it: change namespaces before, or spawn from the main thread.
  bool die_with_parent = true;
  /// setsid(): out of the reach of the terminal's signals.
  bool new_session = false;
  /// A user namespace, and a network namespace that belongs to it, that it enters before anything else (descriptors,
  /// borrowed). It has no capabilities there. A sandbox then confines it by Landlock at most.
  std::optional<std::pair<int, int>> enter;
  /// Confines it before it runs. `argv[0]` and `cwd` must be among what the plan shows. `search_path` is where
  /// newuidmap and newgidmap are looked for, which a user who is not root needs for Sandbox::user. In a pid namespace
  /// it is process 1: no signal but SIGKILL ends it that it does not handle.
  std::optional<Sandbox> sandbox;
};

/// A running child process, owned: destruction kills (SIGKILL) and reaps it. Use from one thread at a time.
class Child {
 public:
  /// Starts it. Throws Error(NotFound / PermissionDenied / Io) if it could not be executed: exec's own failure is
  /// reported here, not by an exit status. With die_with_parent the child lives no longer than this *process*,
  /// whichever thread calls.
  static Child spawn(const SpawnSpec& spec);

  Child(Child&&) noexcept;
  Child& operator=(Child&&) noexcept;
  ~Child();

  [[nodiscard]] ProcessId id() const noexcept { return id_; }
  /// Readable once it has ended.
  [[nodiscard]] int pidfd() const noexcept { return pidfd_.get(); }
  void signal(int number) noexcept;
  /// SIGSTOP: no thread of it executes anything any more. False if it still did after 100 ms, as one does that waits
  /// for a disk.
  [[nodiscard]] bool stop() noexcept;
  /// Its end, waited for until `deadline` or a stop; nullopt if it still runs then. Idempotent. If the host program
  /// has taken the status itself (by waiting for any child, or by ignoring SIGCHLD), the result has neither code nor
  /// signal.
  std::optional<ExitStatus> wait(Deadline deadline, const std::stop_token& stop = {});
  /// SIGKILL and reap.
  ExitStatus kill() noexcept;
  /// Lets it run on its own: the destructor leaves it alone (spawned with die_with_parent = false).
  ProcessId detach() noexcept;

 private:
  Child(ProcessId id, Fd pidfd) noexcept;
  ProcessId id_;
  Fd pidfd_;
  bool owned_ = true;
  std::optional<ExitStatus> status_;
};

struct ToolResult {
  ExitStatus status;
  std::string out;
  std::string err;
};
struct ToolOptions {
  std::vector<std::filesystem::path> search_path;
  std::vector<std::string> env;
  std::filesystem::path cwd;
  std::optional<int> input_fd;
  /// Standard output goes here instead of ToolResult::out.
  std::optional<int> output_fd;
  Deadline deadline = Deadline::never();
  std::stop_token stop;
  /// Each line of stdout and stderr as it appears, without its end; a very long one comes in pieces. An exception from
  /// it kills the tool and leaves run_tool.
  std::function<void(std::string_view line)> on_line;
};
/// Runs a helper program to its end, its two outputs collected (at most 16 MiB each). Killed at the deadline
/// (Error Timeout) or on stop (Error Cancelled), with all that it started unless that left its session. A non-zero
/// status is not an error here. Without `input_fd` it reads /dev/null.
ToolResult run_tool(std::vector<std::string> argv, const ToolOptions& options);
/// run_tool, throwing Error(Io, "<program> exited with status N: <last lines of stderr>") unless it succeeded.
ToolResult check_tool(std::vector<std::string> argv, const ToolOptions& options);

/// The full path of program `name` in `search_path`, or nullopt.
std::optional<std::filesystem::path> find_program(const std::string& name,
                                                  const std::vector<std::filesystem::path>& search_path);

}  // namespace fireclaw::sys
