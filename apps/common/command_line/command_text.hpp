#pragma once

#include <CLI/CLI.hpp>

#include <string>
#include <utility>
#include <vector>

namespace fireclaw::cli {

/// An option or an argument of a command.
struct OptionText {
  /// As a user types them: "-t", "--timeout"; for an argument its placeholder: "COMMAND".
  std::vector<std::string> names;
  /// The value's placeholder: "TIME", "none|user|nat"; empty for a flag.
  std::string value;
  /// The description, without the default value.
  std::string description;
  std::string usual;
  bool required = false;
  bool repeated = false;
  /// The heading that it is listed under.
  std::string group;
};

/// The lines under a heading: examples, or terms and their meanings (two blanks or more between).
struct SectionText {
  std::string title;
  std::vector<std::string> lines;
};

/// The whole description of a command, from which --help, manual pages and completion are made.
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
  /// Whether one of `commands` must follow: it does nothing by itself.
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
