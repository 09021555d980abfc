#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "command.hpp"

namespace fireclaw::cli {
namespace {

/// A command that is a program beside this one, or a command of that.
struct Program {
  std::string_view command;
  std::string_view name;
  /// Its command that is meant; empty: the program itself.
  std::string_view part;
  const char* help;
};

constexpr Program programs[] = {
    {"overseer", "fireclaw-overseer", "", "Run a crew of agents from an IRC channel"},
    {"irc", "fireclaw-overseer", "irc", "Serve IRC to this machine and its agents"},
    {"mcp", "fireclaw-mcp", "", "Serve machines to an LLM's client (Model Context Protocol)"},
};

/// `before` stands before the part, `after` behind it.
[[noreturn]] void become(const Program& which, const std::vector<std::string>& before,
                         const std::vector<std::string>& after) {
  const auto program = std::filesystem::read_symlink("/proc/self/exe").replace_filename(which.name);
  std::vector<std::string> argv{program.native()};
  argv.insert(argv.end(), before.begin(), before.end());
  if (!which.part.empty()) argv.emplace_back(which.part);
  argv.insert(argv.end(), after.begin(), after.end());
  std::vector<char*> pointers;
  for (auto& word : argv) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  ::execv(program.c_str(), pointers.data());
  throw Error{ErrorCode::NotFound, fmt::format("'{}' cannot be started: {}", program.native(), std::strerror(errno))};
}

}  // namespace

void add_programs(CLI::App& app, Context& context, Action& action) {
  for (const auto& program : programs) {
    auto* sub = app.add_subcommand(std::string{program.command}, program.help);
    // All that follows the command is the other program's to read, --help too.
    sub->fallthrough(false);
    sub->prefix_command();
    sub->set_help_flag();
    sub->callback([sub, &program, &context, &action] {
      action = [sub, &program, &context]() -> int { become(program, to_argv(context.host), sub->remaining()); };
    });
  }
}

void complete_as_program(const std::string& command, const std::vector<std::string>& words) {
  const auto* program = std::ranges::find(programs, command, &Program::command);
  if (program == std::end(programs)) throw Error{ErrorCode::Internal, fmt::format("unknown program '{}'", command)};
  become(*program, {"__complete"}, words);
}

}  // namespace fireclaw::cli
