#pragma once

#include <CLI/CLI.hpp>

#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "common/command_line/host_arguments.hpp"
#include "fireclaw/fireclaw.hpp"

namespace fireclaw::cli {

/// Exit statuses of our own, as timeout(1) and env(1) have them.
inline constexpr int exit_timeout = 124;
inline constexpr int exit_failure = 125;

/// Shared by all commands.
struct Context {
  HostArguments host;
  /// The network without --net; empty: the best that is possible.
  std::string default_network;
  bool verbose = false;
  /// Whether standard output is to be one JSON document.
  bool json = false;
  /// Whether there was a "--": a program and its arguments follow, not a shell line.
  bool argv_form = false;
  /// Triggered by Ctrl-C, SIGTERM and SIGHUP.
  std::stop_token stop;
  /// The signal that triggered it, or 0.
  std::function<int()> stop_signal;

  /// Opens the home folder with the options given. Error(NotFound) if there is none: only commands that have something
  /// to put there make one.
  [[nodiscard]] Host open_host() const;
  [[nodiscard]] Host make_host() const;
};

/// --json.
void add_json(CLI::App& command, Context& context);

/// Each adds its subcommands to `app`; parsing then leaves the function that carries them out in `action`.
using Action = std::function<int()>;
void add_run(CLI::App& app, Context& context, Action& action);
void add_setup(CLI::App& app, Context& context, Action& action);
void add_upgrade(CLI::App& app, Context& context, Action& action);
void add_doctor(CLI::App& app, Context& context, Action& action);
void add_image(CLI::App& app, Context& context, Action& action);
void add_snapshot(CLI::App& app, Context& context, Action& action);
void add_vm(CLI::App& app, Context& context, Action& action);
/// Short for vm list.
void add_ps(CLI::App& app, Context& context, Action& action);
void add_network(CLI::App& app, Context& context, Action& action);
void add_workspace(CLI::App& app, Context& context, Action& action);
void add_gc(CLI::App& app, Context& context, Action& action);
void add_agent(CLI::App& app, Context& context, Action& action);
/// Adds agent exec and agent ssh.
void add_agent_shells(CLI::App& group, Context& context, Action& action);
void add_up(CLI::App& app, Context& context, Action& action);
void add_bench(CLI::App& app, Context& context, Action& action);
/// Commands that are programs of their own: overseer, irc and mcp.
void add_programs(CLI::App& app, Context& context, Action& action);

/// Makes `run` the action that the command stands for, with its options if it has some.
template <class Run, class... Options>
void set_action(CLI::App& command, Context& context, Action& action, Run run,
                const std::shared_ptr<Options>&... options) {
  command.callback([=, &context, &action] { action = [=, &context] { return run(*options..., context); }; });
}

/// What all commands have in common, and `run` as the only one.
void add_run_alone(CLI::App& app, Context& context, Action& action);
/// All of them, and what they have in common.
void add_commands(CLI::App& app, Context& context, Action& action);
/// Becomes the program that a command stands for, which then says how `words` can continue.
[[noreturn]] void complete_as_program(const std::string& command, const std::vector<std::string>& words);

}  // namespace fireclaw::cli
