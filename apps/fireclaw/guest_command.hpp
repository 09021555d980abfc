#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "command.hpp"

namespace fireclaw::cli {

/// A command for a guest as the command line gives it, and its connection to our standard streams.
struct GuestCommand {
  std::vector<std::string> command;
  /// They are a program and its arguments, also without "--".
  bool is_program = false;
  std::string timeout;
  std::vector<std::string> env;
  std::string cwd;
  std::string user;
  bool interactive = false;
  bool tty = false;
  bool no_stdin = false;
};

/// Our terminal as long as a command of the guest has it.
class AttachedTerminal {
 public:
  virtual ~AttachedTerminal() = default;
};
/// Raw, and `on_resize` called when its size changes; nothing if the command has no terminal or we have none.
std::unique_ptr<AttachedTerminal> attach_terminal(const GuestCommand& options,
                                                  std::function<void(WindowSize)> on_resize);

/// -e, -w, -u, -i, --tty, --no-stdin.
void add_guest_command_options(CLI::App& command, GuestCommand& options);

/// The options for VM::spawn. Where JSON is wanted output goes into the result, else to our own.
/// Without a command its argv is empty. Error(InvalidArgument) for a shell line in several arguments.
ExecOptions make_exec(const GuestCommand& options, const Context& context);

/// Waits for the command's end, with our terminal raw and its size passed on where it has one. For a Process or an
/// AgentShell.
template <typename Running>
ExecResult wait_for(Running process, const GuestCommand& options) {
  const auto terminal = attach_terminal(options, [&process](WindowSize size) { process.resize(size); });
  return process.wait();
}

/// The exit status that stands for the command's end.
int status_of(const ExecResult& result, const Context& context);

}  // namespace fireclaw::cli
