#include "common/command_line/command_text.hpp"

#include <algorithm>
#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace fireclaw::cli {
namespace {

/// Where options are listed that nothing was said of.
constexpr std::string_view usual_group = "Options";

std::vector<std::string> split_lines(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const auto line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    lines.emplace_back(line);
  }
  return lines;
}

/// A command is made with the footer of the one around it, which that shows itself.
std::string own_footer(const CLI::App& app) {
  const auto* around = app.get_parent();
  const auto footer = app.get_footer();
  return around != nullptr && around->get_footer() == footer ? "" : footer;
}

void add_paragraph(CommandText& text, const std::vector<std::string>& lines) {
  if (lines.empty()) return;
  const bool listed = lines.size() > 1 && lines.front().ends_with(':') &&
                      std::all_of(lines.begin() + 1, lines.end(), [](auto& line) { return line.starts_with("  "); });
  if (!listed) {
    text.paragraphs.push_back(fmt::format("{}", fmt::join(lines, " ")));
    return;
  }
  SectionText section{lines.front().substr(0, lines.front().size() - 1), {}};
  for (auto line = lines.begin() + 1; line != lines.end(); ++line) section.lines.push_back(line->substr(2));
  text.sections.push_back(std::move(section));
}

}  // namespace

OptionText describe(const CLI::Option& option) {
  OptionText text;
  text.value = takes_value(option) ? option.get_type_name() : "";
  text.names = option.get_positional() ? std::vector{text.value} : names_of(option);
  text.description = option.get_description();
  text.usual = option.get_default_str();
  text.required = option.get_required();
  text.repeated = option.get_expected_max() > 1 || option.get_multi_option_policy() == CLI::MultiOptionPolicy::TakeAll;
  text.group = option.get_group() == usual_group ? "" : option.get_group();
  return text;
}

bool takes_value(const CLI::Option& option) { return option.get_items_expected_max() > 0; }

std::vector<std::string> names_of(const CLI::Option& option) {
  std::vector<std::string> names;
  for (const auto& name : option.get_snames()) names.push_back("-" + name);
  for (const auto& name : option.get_lnames()) names.push_back("--" + name);
  return names;
}

std::string full_name(const CLI::App& app) {
  const auto* around = app.get_parent();
  return around == nullptr ? app.get_name() : full_name(*around) + " " + app.get_name();
}

const CLI::App* root_of(const CLI::App& app) {
  const auto* around = app.get_parent();
  return around == nullptr ? &app : root_of(*around);
}

std::vector<const CLI::App*> commands_in(const CLI::App& app) {
  return app.get_subcommands([](const CLI::App* sub) { return !sub->get_name().empty() && !sub->get_group().empty(); });
}

std::vector<const CLI::Option*> options_of(const CLI::App& app) {
  return app.get_options(
      [](const CLI::Option* option) { return !option->get_group().empty() && !option->get_positional(); });
}

std::vector<const CLI::Option*> arguments_of(const CLI::App& app) {
  return app.get_options(
      [](const CLI::Option* option) { return !option->get_group().empty() && option->get_positional(); });
}

CommandText describe(const CLI::App& app) {
  CommandText text;
  text.name = full_name(app);
  text.summary = app.get_description();
  for (const auto* argument : arguments_of(app)) text.arguments.push_back(describe(*argument));
  for (const auto* option : options_of(app)) text.options.push_back(describe(*option));
  text.commands = commands_in(app);
  text.is_group = app.get_require_subcommand_min() > 0;
  std::vector<std::string> paragraph;
  for (auto& line : split_lines(own_footer(app))) {
    if (!line.empty()) {
      paragraph.push_back(std::move(line));
      continue;
    }
    add_paragraph(text, std::exchange(paragraph, {}));
  }
  add_paragraph(text, paragraph);
  return text;
}

std::string usage_of(const CommandText& text) {
  auto usage = text.name + " [OPTIONS]";
  for (const auto& argument : text.arguments) {
    const auto word = argument.names.front() + (argument.repeated ? "..." : "");
    usage += argument.required ? fmt::format(" {}", word) : fmt::format(" [{}]", word);
  }
  if (!text.commands.empty()) usage += text.is_group ? " COMMAND" : " [COMMAND]";
  return usage;
}

std::string term_of(const OptionText& option) {
  auto term = fmt::format("{}", fmt::join(option.names, ", "));
  const bool argument = !option.names.empty() && option.names.front() == option.value;
  if (!option.value.empty() && !argument) term += " " + option.value;
  return term;
}

std::pair<std::string, std::string> split_term(const SectionText& section, const std::string& line) {
  const auto gap = section.title == "Examples" ? std::string::npos : line.find("  ");
  if (gap == std::string::npos) return {line, {}};
  const auto meaning = line.find_first_not_of(' ', gap);
  return {line.substr(0, gap), meaning == std::string::npos ? "" : line.substr(meaning)};
}

}  // namespace fireclaw::cli
