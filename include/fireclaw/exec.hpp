#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fireclaw {

/// A terminal's size in character cells.
struct WindowSize {
  /// Lines.
  std::uint16_t rows = 24;
  /// Characters in a line.
  std::uint16_t columns = 80;

  /// Equal in both members.
  bool operator==(const WindowSize&) const = default;
};

/// Receives a piece of a command's output as it arrives, on the thread that called exec() or wait().
/// An exception from it ends the command and leaves exec().
using OutputCallback = std::function<void(std::string_view bytes)>;

/// A command for a guest, and how to run it.
struct ExecOptions {
  /// Program and arguments, run as they are. The program is searched in the guest's PATH if it has no slash.
  /// Use shell() for a shell line. Empty: the image's own command (ImageInfo::command).
  std::vector<std::string> argv;
  /// Variables to add to those of the guest (PATH, HOME, USER, LANG; TERM with `tty`) and of an OCI image. They
  /// replace variables of the same name.
  std::vector<std::pair<std::string, std::string>> env;
  /// Working directory in the guest; empty: the OCI image's, else the user's home, or / if that does not exist.
  std::string cwd;
  /// User name or numeric "uid[:gid]" in the guest; empty: the OCI image's, else root.
  std::string user;

  /// Bytes for the command to read on stdin. Use this or `input_fd`, not both; with neither, stdin is /dev/null (or the
  /// terminal's input, with `tty`).
  std::string input;
  /// A descriptor that is read to its end and passed on as stdin. It must stay open during the call.
  std::optional<int> input_fd;

  /// Gives the command its own terminal; stdout then carries everything and stderr stays empty.
  bool tty = false;
  /// The terminal's size at the start, with `tty`.
  WindowSize window_size;

  /// How long it may run; then its process group gets SIGKILL and ExecResult::timed_out is set. None: no limit.
  std::optional<std::chrono::milliseconds> timeout;
  /// When triggered, the command gets SIGTERM, two seconds later SIGKILL, and ExecResult::cancelled is set.
  std::stop_token stop{};

  /// Receives output as it appears. Without a callback, output is collected in ExecResult::out / err.
  OutputCallback on_stdout;
  /// The same for stderr.
  OutputCallback on_stderr;
  /// The most bytes to collect of each stream; the rest is dropped and ExecResult::truncated is set.
  std::size_t max_output_bytes = std::size_t{64} << 20;

  /// Makes options that run `line` with the guest's /bin/sh -c.
  static ExecOptions shell(std::string line) {
    ExecOptions options;
    options.argv = {"/bin/sh", "-c", std::move(line)};
    return options;
  }
};

/// How a command ended.
struct ExecResult {
  /// The exit status as a shell gives it: 0–255; 128 + the signal if a signal ended it;
  /// 126 / 127 if it could not be executed / was not found.
  int exit_code = 0;
  /// The signal that ended the command, or 0.
  int signal = 0;
  /// ExecOptions::timeout passed.
  bool timed_out = false;
  /// ExecOptions::stop was triggered.
  bool cancelled = false;
  /// Collected output was cut at max_output_bytes.
  bool truncated = false;
  /// What came on stdout, unless a callback took it; any bytes.
  std::string out;
  /// What came on stderr, unless a callback took it; any bytes.
  std::string err;
  /// From sending the request to receiving the exit status, on the host's steady clock.
  std::chrono::nanoseconds duration{0};
};

}  // namespace fireclaw
