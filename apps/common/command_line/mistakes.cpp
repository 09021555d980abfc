#include "common/command_line/mistakes.hpp"

#include <algorithm>
#include <cctype>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "common/command_line/command_text.hpp"
#include "common/text/text.hpp"

namespace fireclaw::cli {
namespace {

/// The innermost command that was understood.
const CLI::App& deepest(const CLI::App& app) {
  const auto inside = app.get_subcommands();
  return inside.empty() ? app : deepest(*inside.front());
}

bool is_option(std::string_view word) { return word.size() > 1 && word.starts_with('-'); }

/// What can stand there instead: the options of the command and of those around it.
std::vector<std::string> known_options(const CLI::App& command) {
  std::vector<std::string> known;
  for (const auto* app = &command; app != nullptr; app = app->get_parent()) {
    for (const auto* option : options_of(*app)) {
      for (auto& name : names_of(*option)) known.push_back(std::move(name));
    }
  }
  return known;
}

std::vector<std::string> known_commands(const CLI::App& group) {
  std::vector<std::string> known;
  for (const auto* command : commands_in(group)) known.push_back(command->get_name());
  return known;
}

std::string suggestion(std::string_view word, const std::vector<std::string>& known) {
  const auto meant = likely_meant(word, known);
  return meant.empty() ? "" : fmt::format(" (did you mean '{}'?)", meant);
}

/// What follows the name in "--cpus: ..."; the name alone in `name`.
std::string after_name(std::string_view text, std::string& name) {
  const auto colon = text.find(": ");
  if (colon == std::string_view::npos) return std::string{text};
  name = text.substr(0, colon);
  return std::string{text.substr(colon + 2)};
}

std::string begin_small(std::string text) {
  if (!text.empty()) text[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(text[0])));
  return text;
}

const CLI::Option* find_option(const CLI::App& command, const std::string& name) {
  for (const auto* app = &command; app != nullptr; app = app->get_parent()) {
    for (const auto* option : app->get_options()) {
      const auto names = names_of(*option);
      if (std::ranges::find(names, name) != names.end() || option->get_name(true) == name) return option;
    }
  }
  return nullptr;
}

/// Options that take a number are the only ones whose values are not taken as they are.
std::string explain_conversion(const CLI::App& command, std::string_view what) {
  constexpr std::string_view start = "Could not convert: ";
  const auto equals = what.find(" = ");
  if (!what.starts_with(start) || equals == std::string_view::npos) return begin_small(std::string{what});
  const std::string name{what.substr(start.size(), equals - start.size())};
  const auto value = what.substr(equals + 3);
  const auto* option = find_option(command, name);
  const bool flag = option != nullptr && option->get_type_name() == "true|false";
  return fmt::format("invalid value '{}' for {}: expected {}", value, name, flag ? "true or false" : "a whole number");
}

std::string explain_missing_value(const CLI::App& command, std::string_view what) {
  std::string name;
  static_cast<void>(after_name(what, name));
  const auto* option = find_option(command, name);
  if (option == nullptr) return begin_small(std::string{what});
  if (!takes_value(*option)) return fmt::format("{} takes no value", name);
  return fmt::format("{} needs a value: {}", name, option->get_type_name());
}

std::string explain_missing(const CLI::App& command, std::string_view what) {
  for (const auto* argument : arguments_of(command)) {
    if (argument->get_required() && argument->count() == 0) {
      return fmt::format("'{}' needs {}: {}", full_name(command), argument->get_type_name(),
                         begin_small(argument->get_description()));
    }
  }
  const auto known = known_commands(command);
  const auto name = full_name(command);
  if (known.empty()) return begin_small(std::string{what});
  if (command.get_parent() == nullptr) return "a command is missing";
  return fmt::format("'{}' needs a command: {}", name, fmt::join(known, ", "));
}

bool has_option(const CLI::App& command, const std::string& name) {
  return std::ranges::any_of(options_of(command), [&](const CLI::Option* option) {
    const auto names = names_of(*option);
    return std::ranges::find(names, name) != names.end();
  });
}

/// The commands that have the option, in and below `command`.
void find_option_owners(const CLI::App& command, const std::string& name, std::vector<const CLI::App*>& found) {
  if (has_option(command, name)) found.push_back(&command);
  for (const auto* inside : commands_in(command)) find_option_owners(*inside, name, found);
}

/// Where an option belongs that does not stand there; empty if nobody has it.
std::string right_place(const CLI::App& command, const std::string& name) {
  if (has_option(command, name)) {
    return fmt::format("; it comes after the command: {} {}", full_name(command), name);
  }
  // Those of the same group first: what is meant is near.
  std::vector<const CLI::App*> owners;
  for (const auto* app = &command; app != nullptr && owners.empty(); app = app->get_parent()) {
    find_option_owners(*app, name, owners);
  }
  constexpr std::size_t most_named = 3;
  if (owners.empty() || owners.size() > most_named) return {};
  std::vector<std::string> names;
  for (const auto* owner : owners) names.push_back(full_name(*owner));
  return fmt::format("; it is an option of: {}", fmt::join(names, ", "));
}

std::string explain_leftover(const CLI::App& command, const std::string& word) {
  if (is_option(word)) {
    const auto name = word.substr(0, word.find('='));
    if (const auto place = right_place(command, name); !place.empty()) {
      return fmt::format("there is no option '{}' here{}", name, place);
    }
    return fmt::format("there is no option '{}'{}", name, suggestion(name, known_options(command)));
  }
  if (const auto known = known_commands(command); !known.empty()) {
    return fmt::format("there is no command '{} {}'{}", full_name(command), word, suggestion(word, known));
  }
  return fmt::format("unexpected argument '{}' of '{}'", word, full_name(command));
}

std::string reason(const CLI::App& app, const CLI::App& command, const CLI::ParseError& problem) {
  const auto kind = problem.get_name();
  if (kind == "ConversionError") return explain_conversion(command, problem.what());
  if (kind == "ArgumentMismatch") return explain_missing_value(command, problem.what());
  // A word that was not understood is why something else is missing. Of several the first is the likely culprit.
  auto left = app.remaining(true);
  std::erase(left, "--");
  const auto option = std::ranges::find_if(left, is_option);
  if (option != left.end()) return explain_leftover(command, *option);
  if (!left.empty()) return explain_leftover(command, left.front());
  if (kind == "RequiredError") return explain_missing(command, problem.what());
  std::string name;
  const auto what = begin_small(after_name(problem.what(), name));
  return name.empty() ? what : fmt::format("{}: {}", name, what);
}

}  // namespace

std::string explain(const CLI::App& app, const CLI::ParseError& problem) {
  const auto& command = deepest(app);
  return fmt::format("{}; see: {} --help", reason(app, command, problem), full_name(command));
}

}  // namespace fireclaw::cli
