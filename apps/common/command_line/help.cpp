#include "common/command_line/help.hpp"

#include <unistd.h>

#include <algorithm>
#include <vector>

#include <fmt/format.h>

#include "common/command_line/command_text.hpp"
#include "common/text/style.hpp"
#include "common/text/text.hpp"

namespace fireclaw::cli {
namespace {

constexpr std::size_t term_column = 2;
constexpr std::size_t meaning_column = 30;
constexpr std::size_t usual_columns = 80;
// Longer lines are hard to read, shorter ones leave no room beside the terms.
constexpr std::size_t most_columns = 120;
constexpr std::size_t fewest_columns = 60;

class Page {
 public:
  Page(Style style, std::size_t columns) : style_{style}, columns_{columns} {}

  void heading(std::string_view text) { out_ += fmt::format("\n{}\n", style_.heading(fmt::format("{}:", text))); }

  void paragraph(std::string_view text) {
    for (const auto& line : wrap_words(text, columns_)) out_ += line + "\n";
  }

  void verbatim(std::string_view line) { out_ += std::string(term_column, ' ') + std::string{line} + "\n"; }

  void term(const std::string& term, std::string_view meaning, std::size_t column = meaning_column) {
    auto line = std::string(term_column, ' ') + term;
    if (width(line) + 1 > column) {
      out_ += line + "\n";
      line.clear();
    }
    for (const auto& piece : wrap_words(meaning, columns_ - column)) {
      out_ += fmt::format("{}{}{}\n", line, std::string(column - width(line), ' '), piece);
      line.clear();
    }
  }

  void empty_line() { out_ += "\n"; }
  std::string take() { return std::move(out_); }

 private:
  Style style_;
  std::size_t columns_;
  std::string out_;
};

std::string meaning_of(const OptionText& option) {
  auto text = option.description;
  if (!option.usual.empty()) text += fmt::format(" (default: {})", option.usual);
  const bool argument = option.names.size() == 1 && option.names.front() == option.value;
  if (option.repeated && !argument) text += " (may be repeated)";
  return text;
}

void add_section(Page& page, const SectionText& section) {
  page.heading(section.title);
  std::size_t longest = 0;
  for (const auto& line : section.lines) {
    const auto [term, meaning] = split_term(section, line);
    if (!meaning.empty()) longest = std::max(longest, width(term));
  }
  const auto column = std::min(term_column + longest + 2, meaning_column);
  for (const auto& line : section.lines) {
    const auto [term, meaning] = split_term(section, line);
    if (meaning.empty()) {
      page.verbatim(line);
    } else {
      page.term(term, meaning, column);
    }
  }
}

void add_options(Page& page, const std::vector<OptionText>& options) {
  std::vector<std::string> groups;
  for (const auto& option : options) {
    if (std::ranges::find(groups, option.group) == groups.end()) groups.push_back(option.group);
  }
  for (const auto& group : groups) {
    page.heading(group.empty() ? "Options" : group);
    for (const auto& option : options) {
      if (option.group == group) page.term(term_of(option), meaning_of(option));
    }
  }
}

}  // namespace

std::string HelpFormatter::make_help(const CLI::App* app, std::string /*name*/, CLI::AppFormatMode /*mode*/) const {
  const auto style = Style::of(STDOUT_FILENO);
  const auto room = columns_of(STDOUT_FILENO);
  Page page{style, std::clamp(room == 0 ? usual_columns : room, fewest_columns, most_columns)};
  const auto text = describe(*app);
  page.paragraph(text.summary);
  page.empty_line();
  page.paragraph(fmt::format("{} {}", style.heading("Usage:"), usage_of(text)));
  for (const auto& paragraph : text.paragraphs) {
    page.empty_line();
    page.paragraph(paragraph);
  }
  if (!text.arguments.empty()) page.heading("Arguments");
  for (const auto& argument : text.arguments) page.term(term_of(argument), meaning_of(argument));
  if (!text.commands.empty()) page.heading("Commands");
  for (const auto* command : text.commands) {
    auto names = command->get_name();
    for (const auto& alias : command->get_aliases()) names += ", " + alias;
    page.term(names, command->get_description());
  }
  add_options(page, text.options);
  if (const auto* root = root_of(*app); root != app) {
    std::vector<std::string> names;
    for (const auto& option : describe(*root).options) {
      if (!option.value.empty() && option.group.empty()) names.push_back(option.names.back());
    }
    page.empty_line();
    page.paragraph(
        fmt::format("Options of all commands: {}; see: {} --help", fmt::join(names, ", "), root->get_name()));
  }
  for (const auto& section : text.sections) add_section(page, section);
  return page.take();
}

}  // namespace fireclaw::cli
