#include "guest_command.hpp"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "common/processes/signals.hpp"
#include "common/processes/standard_streams.hpp"
#include "common/text/quantities.hpp"
#include "common/text/terminal_text.hpp"
#include "terminal.hpp"

namespace fireclaw::cli {
namespace {

std::pair<std::string, std::string> parse_env(const std::string& text) {
  const auto equals = text.find('=');
  if (equals == std::string::npos || equals == 0) {
    throw Error{ErrorCode::InvalidArgument, fmt::format("-e '{}': use KEY=VALUE", text)};
  }
  return {text.substr(0, equals), text.substr(equals + 1)};
}

/// Elsewhere -t is a terminal.
std::chrono::milliseconds parse_timeout(const std::string& text) {
  try {
    return parse_duration(text);
  } catch (const Error& problem) {
    throw Error{problem.code(), fmt::format("{}; -t is a time here, a terminal is -it or --tty", problem.what())};
  }
}

/// The reader of our output may be slow (then this waits) or gone (then the command ends).
void write_out(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const auto count = ::write(fd, bytes.data(), bytes.size());
    if (count >= 0) {
      bytes.remove_prefix(static_cast<std::size_t>(count));
    } else if (errno == EAGAIN) {
      pollfd wait{fd, POLLOUT, 0};
      ::poll(&wait, 1, -1);
    } else if (errno == EPIPE && fd == STDOUT_FILENO) {
      throw ReaderGone{};
    } else if (errno != EINTR) {
      throw Error{ErrorCode::Io, fmt::format("write to standard {}: {}", fd == STDOUT_FILENO ? "output" : "error",
                                             std::generic_category().message(errno))};
    }
  }
}

/// A command that was given our terminal may do with it what it likes. To one that was not, it is a place for text.
OutputCallback writer_to(int fd, bool tty) {
  if (tty || ::isatty(fd) != 1) return [fd](std::string_view bytes) { write_out(fd, bytes); };
  return [fd, text = std::make_shared<TerminalText>(TerminalText::Returns::Keep)](std::string_view bytes) {
    write_out(fd, text->add(bytes));
  };
}

}  // namespace

void add_guest_command_options(CLI::App& command, GuestCommand& options) {
  command.add_option("-e,--env", options.env, "Environment variable")->type_name("KEY=VALUE")->allow_extra_args(false);
  command.add_option("-w,--workdir", options.cwd, "Working directory in the guest")->type_name("DIR");
  command.add_option("-u,--user", options.user, "User name or uid[:gid] in the guest")->type_name("USER");
  command.add_flag("-i,--interactive", options.interactive, "Pass on standard input even if it is a terminal");
  command.add_flag(
      "--tty", options.tty,
      "Give the command a terminal (-it is the same as -i --tty); without it, control sequences in output on a "
      "terminal are spelled out");
  command.add_flag("--no-stdin", options.no_stdin, "Give the command no standard input");
}

ExecOptions make_exec(const GuestCommand& options, const Context& context) {
  const bool is_program = context.argv_form || options.is_program;
  if (!is_program && options.command.size() > 1) {
    throw Error{ErrorCode::InvalidArgument,
                "a shell command is one argument; quote it, or put -- before a program and its arguments"};
  }
  ExecOptions exec;
  if (is_program) {
    exec.argv = options.command;
  } else if (!options.command.empty()) {
    exec.argv = ExecOptions::shell(options.command.front()).argv;
  }
  for (const auto& entry : options.env) exec.env.push_back(parse_env(entry));
  exec.cwd = options.cwd;
  exec.user = options.user;
  exec.tty = options.tty;
  const auto timeout = parse_timeout(options.timeout);
  if (timeout.count() > 0) exec.timeout = timeout;
  exec.stop = context.stop;
  if (!context.json) {
    exec.on_stdout = writer_to(STDOUT_FILENO, options.tty);
    exec.on_stderr = writer_to(STDERR_FILENO, options.tty);
  }
  // A terminal is only read when asked for; a pipe or a file is what the command is meant to read.
  const bool reads = options.tty || options.interactive || ::isatty(STDIN_FILENO) == 0;
  if (reads && !options.no_stdin) exec.input_fd = STDIN_FILENO;
  if (options.tty) {
    if (const auto size = terminal_size(STDIN_FILENO)) exec.window_size = *size;
  }
  return exec;
}

namespace {

class RawAndWatched final : public AttachedTerminal {
 public:
  explicit RawAndWatched(std::function<void(WindowSize)> on_resize)
      : raw_{STDIN_FILENO}, resize_{[on_resize = std::move(on_resize)] {
          if (const auto size = terminal_size(STDIN_FILENO)) on_resize(*size);
        }} {}

 private:
  RawTerminal raw_;
  ResizeWatch resize_;
};

}  // namespace

std::unique_ptr<AttachedTerminal> attach_terminal(const GuestCommand& options,
                                                  std::function<void(WindowSize)> on_resize) {
  if (!options.tty || ::isatty(STDIN_FILENO) != 1) return nullptr;
  return std::make_unique<RawAndWatched>(std::move(on_resize));
}

int status_of(const ExecResult& result, const Context& context) {
  if (result.timed_out) return exit_timeout;
  if (result.cancelled && context.stop_signal() != 0) return 128 + context.stop_signal();
  return result.exit_code;
}

}  // namespace fireclaw::cli
