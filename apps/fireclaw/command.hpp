#pragma once

#include <CLI/CLI.hpp>

#include <functional>
#include <memory>
#include <stop_token>
#include <string>

#include "common/host_arguments.hpp"
#include "fireclaw/fireclaw.hpp"

namespace fireclaw::cli {

/// Exit statuses of our own, as timeout(1) and env(1) have them.
inline constexpr int exit_timeout = 124;
inline constexpr int exit_failure = 125;

/// What all commands share.
struct Context {
  HostArguments host;
  /// What --net means when it is not given; empty: the best that is possible.
  std::string default_network;
  bool verbose = false;
  /// There was a "--": what follows is a program and its arguments, not a shell line.
  bool argv_form = false;
  /// Triggered by Ctrl-C, SIGTERM and SIGHUP.
  std::stop_token stop;
  /// The signal that triggered it, or 0.
  std::function<int()> stop_signal;

  /// Opens the home folder with the options given.
  [[nodiscard]] Host open_host() const;
};

/// Each adds its subcommands to `app`; parsing then leaves the function that carries them out in `action`.
using Action = std::function<int()>;
void add_run(CLI::App& app, Context& context, Action& action);
void add_setup(CLI::App& app, Context& context, Action& action);
void add_doctor(CLI::App& app, Context& context, Action& action);
void add_image(CLI::App& app, Context& context, Action& action);
void add_snapshot(CLI::App& app, Context& context, Action& action);
void add_vm(CLI::App& app, Context& context, Action& action);
void add_network(CLI::App& app, Context& context, Action& action);
void add_workspace(CLI::App& app, Context& context, Action& action);
void add_gc(CLI::App& app, Context& context, Action& action);
void add_agent(CLI::App& app, Context& context, Action& action);
void add_bench(CLI::App& app, Context& context, Action& action);
/// Commands that are programs of their own: overseer, irc and mcp.
void add_programs(CLI::App& app, Context& context, Action& action);

}  // namespace fireclaw::cli
