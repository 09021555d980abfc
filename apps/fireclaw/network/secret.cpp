#include <termios.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iostream>
#include <memory>
#include <string>

#include <fmt/format.h>

#include "command.hpp"
#include "fireclaw/gateway.hpp"
#include "network/gateway_commands.hpp"
#include "output.hpp"

namespace fireclaw::cli {
namespace {

/// Keeps a terminal from showing what is typed, until destruction.
class NoEcho {
 public:
  NoEcho() : terminal_{::tcgetattr(STDIN_FILENO, &before_) == 0} {
    if (!terminal_) return;
    auto quiet = before_;
    quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
  }
  NoEcho(const NoEcho&) = delete;
  NoEcho& operator=(const NoEcho&) = delete;
  ~NoEcho() {
    if (terminal_) ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_);
  }

 private:
  termios before_{};
  bool terminal_;
};

/// The first line of a file, or of standard input.
std::string read_secret(const std::string& name, const std::string& file) {
  std::string line;
  if (!file.empty()) {
    std::ifstream in{file};
    if (!in) throw Error{ErrorCode::NotFound, fmt::format("'{}' cannot be read: {}", file, std::strerror(errno))};
    std::getline(in, line);
  } else if (::isatty(STDIN_FILENO) != 0) {
    std::fputs(fmt::format("secret '{}' (is not shown): ", name).c_str(), stderr);
    const NoEcho quiet;
    std::getline(std::cin, line);
    std::fputs("\n", stderr);
  } else {
    std::getline(std::cin, line);
  }
  if (line.ends_with('\r')) line.pop_back();
  return line;
}

}  // namespace

void add_secret(CLI::App& app, Context& context, Action& action) {
  auto* group = app.add_subcommand("secret", "Store keys and passwords for the gateway");
  group->require_subcommand(1);

  const auto name = std::make_shared<std::string>();
  const auto file = std::make_shared<std::string>();
  auto* set = group->add_subcommand("set", "Set or replace a secret");
  set->add_option("name", *name, "Its name")->type_name("NAME")->required();
  set->add_option("--from", *file, "File with the secret on its first line; default: standard input")
      ->type_name("FILE");
  add_json(*set, context);
  set->footer(
      "On a terminal you are asked for it, and it is not shown. It is never an argument, which others could see.\n\n"
      "Examples:\n"
      "  fireclaw secret set openai\n"
      "  fireclaw secret set openai --from /run/keys/openai");
  set->callback([&, name, file] {
    action = [&, name, file] {
      context.open_host().secrets().set(*name, read_secret(*name, *file));
      if (context.json) print_json({{"set", *name}});
      return 0;
    };
  });

  auto* list = group->add_subcommand("list", "List the names of secrets");
  add_json(*list, context);
  list->footer(
      "Examples:\n"
      "  fireclaw secret list");
  list->callback([&] {
    action = [&] {
      const auto names = context.open_host().secrets().list();
      if (context.json) {
        print_json(Json(names));
      } else {
        for (const auto& one : names) std::puts(one.c_str());
      }
      return 0;
    };
  });

  auto* remove = group->add_subcommand("remove", "Remove a secret");
  remove->add_option("name", *name, "Its name")->type_name("NAME")->required();
  add_json(*remove, context);
  remove->footer(
      "Examples:\n"
      "  fireclaw secret remove openai");
  remove->callback([&, name] {
    action = [&, name] {
      context.open_host().secrets().remove(*name);
      if (context.json) print_json({{"removed", *name}});
      return 0;
    };
  });

  group->footer(
      "Secrets are in secrets.json of the home folder, which only its owner can read. The gateway reads them again "
      "when they change. No machine ever has them.\n\n"
      "Examples:\n"
      "  fireclaw secret set openai");
}

}  // namespace fireclaw::cli
