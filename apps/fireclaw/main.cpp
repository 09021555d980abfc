#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>

#include <fmt/format.h>

#include "command.hpp"
#include "common/host_arguments.hpp"
#include "common/signals.hpp"

namespace fireclaw::cli {
namespace {

void print_error(std::string_view text) { std::fputs(fmt::format("fireclaw: {}\n", printable(text)).c_str(), stderr); }

/// `run -- argv...`: CLI11 takes the "--" away, so whether there was one is noted here.
bool has_separator(int argc, char** argv) {
  return std::any_of(argv + 1, argv + argc, [](const char* text) { return std::string_view{text} == "--"; });
}

int parse_and_act(int argc, char** argv, const Signals& signals) {
  Context context;
  context.stop = signals.token();
  context.stop_signal = [&signals] { return signals.signal(); };
  context.argv_form = has_separator(argc, argv);
  if (const char* mode = std::getenv("FIRECLAW_NET")) context.default_network = mode;

  CLI::App app{"Commands and agents in microVMs", "fireclaw"};
  app.set_version_flag("--version", std::string{"fireclaw "} + std::string{version()});
  app.require_subcommand(1);
  app.fallthrough();
  add_host_arguments(app, context.host);

  Action action;
  add_run(app, context, action);
  add_setup(app, context, action);
  add_doctor(app, context, action);
  add_snapshot(app, context, action);
  add_image(app, context, action);
  add_agent(app, context, action);
  add_vm(app, context, action);
  add_network(app, context, action);
  add_workspace(app, context, action);
  add_gc(app, context, action);
  add_bench(app, context, action);
  add_programs(app, context, action);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& problem) {
    if (problem.get_exit_code() == 0) return app.exit(problem);
    print_error(fmt::format("{}; see: fireclaw --help", problem.what()));
    return exit_failure;
  }
  return action();
}

}  // namespace

Host Context::open_host() const {
  const auto log = [shown = verbose ? LogLevel::Debug : LogLevel::Warning](LogLevel level, std::string_view message) {
    if (level >= shown) print_error(message);
  };
  return Host::open(host_options(host, log));
}

}  // namespace fireclaw::cli

int main(int argc, char** argv) {
  using namespace fireclaw;
  const cli::Signals signals;
  try {
    return cli::parse_and_act(argc, argv, signals);
  } catch (const Error& problem) {
    cli::print_error(problem.what());
    if (problem.code() == ErrorCode::Cancelled && signals.signal() != 0) return 128 + signals.signal();
  } catch (const std::exception& problem) {
    cli::print_error(problem.what());
  }
  return cli::exit_failure;
}
