#pragma once

#include <CLI/CLI.hpp>

#include <string>
#include <utility>
#include <vector>

namespace fireclaw::cli {

/// An option or an argument of a command.
struct OptionText {
  /// As they are written: "-t", "--timeout"; of an argument what stands for it: "COMMAND".
  std::vector<std::string> names;
  /// What stands for the value: "TIME", "none|user|nat"; empty for a flag.
  std::string value;
  /// Without the value that is taken where none is given.
  std::string description;
  std::string usual;
  bool required = false;
  bool repeated = false;
  /// The heading that it is listed under.
  std::string group;
};

/// What stands under a heading: examples, or terms and what they mean (two blanks or more between).
struct SectionText {
  std::string title;
  std::vector<std::string> lines;
};

/// All there is to say of a command: what --help, manual pages and completion are made from.
///
/// A command's footer is paragraphs with empty lines between. One whose first line ends with ":" and whose other lines
/// begin with two blanks is a section ("Examples:"); all others are text, broken again where they are shown.
struct CommandText {
  /// With those of the commands around it: "fireclaw image build".
  std::string name;
  std::string summary;
  std::vector<OptionText> arguments;
  std::vector<OptionText> options;
  std::vector<std::string> paragraphs;
  std::vector<SectionText> sections;
  std::vector<const CLI::App*> commands;
  /// It does nothing by itself: one of `commands` must follow.
  bool is_group = false;
};

CommandText describe(const CLI::App& app);
OptionText describe(const CLI::Option& option);
/// With the names of the commands around it.
std::string full_name(const CLI::App& app);
/// The program that it is a command of, or itself.
const CLI::App* root_of(const CLI::App& app);
/// The commands in it, in the order in which they are listed.
std::vector<const CLI::App*> commands_in(const CLI::App& app);
/// Its own, not those of the commands around it; none that is hidden.
std::vector<const CLI::Option*> options_of(const CLI::App& app);
std::vector<const CLI::Option*> arguments_of(const CLI::App& app);
/// "-t", "--timeout".
std::vector<std::string> names_of(const CLI::Option& option);
/// Whether a value follows it.
bool takes_value(const CLI::Option& option);
/// "fireclaw image build [OPTIONS] NAME".
std::string usage_of(const CommandText& text);
/// "-t, --timeout TIME".
std::string term_of(const OptionText& option);
/// The two sides of a line of a section; the second is empty where it is not a term and its meaning, as in examples.
std::pair<std::string, std::string> split_term(const SectionText& section, const std::string& line);

}  // namespace fireclaw::cli
