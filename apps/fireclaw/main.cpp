#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "command.hpp"
#include "common/command_line/command_text.hpp"
#include "common/command_line/mistakes.hpp"
#include "common/command_line/program.hpp"
#include "common/failure.hpp"
#include "common/processes/signals.hpp"
#include "common/processes/standard_streams.hpp"
#include "known_names.hpp"
#include "words.hpp"

namespace fireclaw::cli {
namespace {

constexpr const char* program = "fireclaw";

/// One page for the program, which lists its commands, and one for each of these.
std::vector<PageOf> manual_pages(const CLI::App& app) {
  std::vector<PageOf> pages{
      {&app, {manual_name(app), {}, {"fireclaw-overseer(1)", "fireclaw-mcp(1)", "fireclaw-config(5)"}, false}}};
  for (const auto* command : commands_in(app)) {
    // Other programs write their own.
    if (command->get_prefix_command()) continue;
    pages.push_back({command, {manual_name(*command), {}, {"fireclaw(1)", "fireclaw-config(5)"}}});
  }
  return pages;
}

/// A command line, and what it asks for once it has been parsed.
struct CommandLine {
  explicit CommandLine(const Signals& signals) {
    context.stop = signals.token();
    context.stop_signal = [&signals] { return signals.signal(); };
    if (const char* mode = std::getenv("FIRECLAW_NET")) context.default_network = mode;
  }
  CommandLine(const CommandLine&) = delete;
  CommandLine& operator=(const CommandLine&) = delete;

  void parse(int argc, char** argv) {
    auto given = as_the_parser_reads(app, {argv + std::min(argc, 1), argv + argc});
    // CLI11 takes the "--" of `run -- argv...` away, so whether there was one is noted here.
    context.argv_form = std::ranges::find(given, "--") != given.end();
    std::ranges::reverse(given);
    app.parse(std::move(given));
  }

  Context context;
  CLI::App app{"Run commands and agents in microVMs", program};
  Action action;
};

/// A `fireclaw run ...` without the other commands, whose descriptions take 2 ms. Null for any other line, and for one
/// with a mistake, which is explained with all commands at hand.
std::unique_ptr<CommandLine> parse_run(int argc, char** argv, const Signals& signals) {
  if (argc < 2 || std::string_view{argv[1]} != "run") return nullptr;
  auto line = std::make_unique<CommandLine>(signals);
  add_run_alone(line->app, line->context, line->action);
  try {
    line->parse(argc, argv);
  } catch (const CLI::ParseError&) {
    return nullptr;
  }
  return line;
}

int parse_and_act(int argc, char** argv, const Signals& signals, bool json) {
  if (const auto line = parse_run(argc, argv, signals)) return line->action();
  CommandLine line{signals};
  const auto& app = line.app;
  add_commands(line.app, line.context, line.action);
  const std::vector<std::string> words{argv + std::min(argc, 2), argv + argc};
  if (argc > 1 && std::string_view{argv[1]} == "__complete") {
    const auto other = forwarded(app, words);
    if (!other.command.empty()) complete_as_program(other.command, other.words);
  }
  HostArguments home;
  home.home = value_in(words, "--home");
  if (answer_script(app, argc, argv, known_names(home), [&] { return manual_pages(app); })) return 0;
  try {
    line.parse(argc, argv);
  } catch (const CLI::ParseError& problem) {
    if (problem.get_exit_code() == 0) {
      // Through stdio, whose failure to write is seen at the end with its reason.
      std::ostringstream text;
      const int status = app.exit(problem, text, text);
      std::fputs(text.str().c_str(), stdout);
      return status;
    }
    print_failure(program, to_string(ErrorCode::InvalidArgument), explain(app, problem), json);
    return exit_failure;
  }
  return line.action();
}

}  // namespace
}  // namespace fireclaw::cli

int main(int argc, char** argv) {
  using namespace fireclaw;
  cli::open_standard_streams();
  const cli::Signals signals;
  const bool json = cli::wants_json(argc, argv);
  int status = cli::exit_failure;
  try {
    status = cli::parse_and_act(argc, argv, signals, json);
  } catch (const cli::ReaderGone&) {
    return cli::exit_reader_gone;
  } catch (const Error& problem) {
    cli::print_failure(cli::program, to_string(problem.code()), problem.what(), json);
    if (problem.code() == ErrorCode::Cancelled && signals.signal() != 0) status = 128 + signals.signal();
  } catch (const std::exception& problem) {
    cli::print_failure(cli::program, to_string(ErrorCode::Internal), problem.what(), json);
  }
  return cli::finish_output(cli::program, status);
}
