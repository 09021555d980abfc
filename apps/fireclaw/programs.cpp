#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <vector>

#include <fmt/format.h>

#include "command.hpp"

namespace fireclaw::cli {
namespace {

/// Becomes the program of that name beside this one.
[[noreturn]] void become(const char* name, const std::vector<std::string>& words, const Context& context) {
  const auto program = std::filesystem::read_symlink("/proc/self/exe").replace_filename(name);
  std::vector<std::string> argv{program.native()};
  for (const auto& word : to_argv(context.host)) argv.push_back(word);
  argv.insert(argv.end(), words.begin(), words.end());
  std::vector<char*> pointers;
  for (auto& word : argv) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  ::execv(program.c_str(), pointers.data());
  throw Error{ErrorCode::NotFound, fmt::format("'{}' cannot be started: {}", program.native(), std::strerror(errno))};
}

/// All that follows the command is the other program's to read, --help too.
CLI::App* forward(CLI::App& app, const std::string& command, const std::string& help) {
  auto* sub = app.add_subcommand(command, help);
  sub->fallthrough(false);
  sub->prefix_command();
  sub->set_help_flag();
  return sub;
}

}  // namespace

void add_programs(CLI::App& app, Context& context, Action& action) {
  auto* overseer = forward(app, "overseer", "Run a crew of agents from an IRC channel");
  overseer->callback([overseer, &context, &action] {
    action = [overseer, &context]() -> int { become("fireclaw-overseer", overseer->remaining(), context); };
  });
  auto* irc = forward(app, "irc", "Serve IRC to this machine and its agents");
  irc->callback([irc, &context, &action] {
    action = [irc, &context]() -> int {
      auto words = irc->remaining();
      words.insert(words.begin(), "irc");
      become("fireclaw-overseer", words, context);
    };
  });
  auto* mcp = forward(app, "mcp", "Serve machines to an LLM's client (Model Context Protocol)");
  mcp->callback([mcp, &context, &action] {
    action = [mcp, &context]() -> int { become("fireclaw-mcp", mcp->remaining(), context); };
  });
}

}  // namespace fireclaw::cli
