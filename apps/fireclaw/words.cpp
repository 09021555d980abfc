#include "words.hpp"

#include <algorithm>
#include <string_view>
#include <utility>

#include "common/command_line/command_text.hpp"

namespace fireclaw::cli {
namespace {

/// The options that take a value in the next word: "-e KEY=VALUE", but not "-eKEY=VALUE" or "--env=KEY=VALUE".
bool takes_next_word(const CLI::App& command, const std::string& word) {
  for (const auto* app = &command; app != nullptr; app = app->get_parent()) {
    for (const auto* option : options_of(*app)) {
      const auto names = names_of(*option);
      if (std::ranges::find(names, word) != names.end()) return takes_value(*option);
    }
  }
  return false;
}

const CLI::App* command_in(const CLI::App& group, const std::string& word) {
  const auto inside = commands_in(group);
  const auto found = std::ranges::find_if(inside, [&](const CLI::App* one) { return one->check_name(word); });
  return found == inside.end() ? nullptr : *found;
}

bool has_option(const CLI::App& command, std::string_view name) {
  const auto options = options_of(command);
  return std::ranges::any_of(options, [&](const CLI::Option* option) {
    const auto names = names_of(*option);
    return std::ranges::find(names, name) != names.end();
  });
}

}  // namespace

std::vector<std::string> as_the_parser_reads(const CLI::App& app, const std::vector<std::string>& words) {
  std::vector<std::string> read;
  const auto* command = &app;
  std::size_t arguments = 0;
  auto word = words.begin();
  for (; word != words.end() && *word != "--"; ++word) {
    if (word->size() > 1 && word->starts_with('-')) {
      if ((*word == "-it" || *word == "-ti") && has_option(*command, "--tty")) {
        read.insert(read.end(), {"-i", "--tty"});
        continue;
      }
      read.push_back(*word);
      if (takes_next_word(*command, *word) && word + 1 != words.end()) read.push_back(*++word);
      continue;
    }
    if (const auto* inside = arguments > 0 ? nullptr : command_in(*command, *word)) {
      // All that follows is another program's to read.
      if (inside->get_prefix_command()) break;
      command = inside;
    } else if (++arguments == 2 && full_name(*command) == "fireclaw vm exec" && word + 1 != words.end()) {
      read.emplace_back("--");
      break;
    }
    read.push_back(*word);
  }
  read.insert(read.end(), word, words.end());
  return read;
}

}  // namespace fireclaw::cli
