#include "common/command_line/manual.hpp"

#include <algorithm>
#include <cctype>
#include <fstream>
#include <string_view>

#include <fmt/format.h>

#include "common/command_line/command_text.hpp"
#include "fireclaw/error.hpp"
#include "fireclaw/version.hpp"

namespace fireclaw::cli {
namespace {

/// Text that is to appear as it is, also where it is copied from.
std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '\\': out += "\\e"; break;
      case '-': out += "\\-"; break;
      case '\'': out += "\\(aq"; break;
      case '`': out += "\\(ga"; break;
      case '^': out += "\\(ha"; break;
      case '~': out += "\\(ti"; break;
      default: out += c;
    }
  }
  // Not a request.
  return out.starts_with('.') ? "\\&" + out : out;
}

std::string upper(std::string text) {
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return text;
}

std::string with_stop(const std::string& text) { return text.empty() || text.ends_with('.') ? text : text + "."; }

std::string bold(std::string_view text) { return fmt::format("\\fB{}\\fR", escaped(text)); }
std::string italic(std::string_view text) { return fmt::format("\\fI{}\\fR", escaped(text)); }

std::string option_term(const OptionText& option) {
  const bool argument = option.names.size() == 1 && option.names.front() == option.value;
  if (argument) return italic(option.value) + (option.repeated ? " ..." : "");
  std::vector<std::string> names;
  for (const auto& name : option.names) names.push_back(bold(name));
  return fmt::format("{}{}", fmt::join(names, ", "), option.value.empty() ? "" : " " + italic(option.value));
}

std::string option_list(const std::vector<OptionText>& options) {
  std::string out;
  for (const auto& option : options) {
    auto meaning = with_stop(option.description);
    if (!option.usual.empty()) meaning += fmt::format(" The default is {}.", option.usual);
    if (option.repeated && option.names.front() != option.value) meaning += " May be repeated.";
    out += fmt::format(".TP\n{}\n{}\n", option_term(option), escaped(meaning));
  }
  return out;
}

/// That every command has it is said once.
std::vector<OptionText> without_help(std::vector<OptionText> options) {
  std::erase_if(options, [](const OptionText& option) { return option.names.back() == "--help"; });
  return options;
}

/// What follows a heading that makes its own paragraph, or a line that does not.
std::string section_body(const SectionText& section, bool after_heading) {
  std::string out;
  std::string plain;
  for (const auto& line : section.lines) {
    const auto [term, meaning] = split_term(section, line);
    if (meaning.empty()) {
      plain += escaped(line) + "\n";
    } else {
      out += fmt::format(".TP\n{}\n{}\n", bold(term), escaped(meaning));
    }
  }
  if (!plain.empty())
    out += fmt::format("{}.RS 4\n.nf\n{}.fi\n.RE\n", after_heading && out.empty() ? "" : ".PP\n", plain);
  return out;
}

std::string sections(const CommandText& text) {
  std::string out;
  for (const auto& section : text.sections) {
    out += fmt::format(".SH {}\n{}", upper(section.title), section_body(section, true));
  }
  return out;
}

std::string synopsis(const CommandText& text) {
  return fmt::format("{}{}\n", bold(text.name), escaped(usage_of(text).substr(text.name.size())));
}

void add_synopses(const CLI::App& app, std::string& out) {
  const auto text = describe(app);
  // A group alone is not a command.
  if (!text.is_group) {
    if (!out.ends_with(".SH SYNOPSIS\n")) out += ".br\n";
    out += synopsis(text);
  }
  for (const auto* command : text.commands) add_synopses(*command, out);
}

/// A command within a page, and those within it.
void add_command(const CLI::App& app, std::string& out) {
  const auto text = describe(app);
  if (!text.is_group) {
    out += fmt::format(".SS \"{}\"\n{}\n", escaped(usage_of(text)), escaped(with_stop(text.summary)));
    for (const auto& paragraph : text.paragraphs) out += fmt::format(".PP\n{}\n", escaped(paragraph));
    out += option_list(text.arguments) + option_list(without_help(text.options));
    for (const auto& section : text.sections) {
      out += fmt::format(".PP\n{}:\n{}", escaped(section.title), section_body(section, false));
    }
  }
  for (const auto* command : text.commands) add_command(*command, out);
}

std::string page_list(const std::vector<const CLI::App*>& commands) {
  std::string out;
  for (const auto* command : commands) {
    out += fmt::format(".TP\n{}(1)\n{}\n", bold(manual_name(*command)), escaped(with_stop(command->get_description())));
  }
  return out;
}

std::string options_by_group(const CommandText& text) {
  std::string out;
  std::vector<std::string> groups;
  for (const auto& option : text.options) {
    if (std::ranges::find(groups, option.group) == groups.end()) groups.push_back(option.group);
  }
  for (const auto& group : groups) {
    std::vector<OptionText> options;
    std::ranges::copy_if(text.options, std::back_inserter(options),
                         [&](const OptionText& option) { return option.group == group; });
    if (!group.empty()) out += fmt::format(".SS \"{}\"\n", escaped(group));
    out += option_list(options);
  }
  return out;
}

std::string begin_small(std::string text) {
  // "IRC", "SSH" stay as they are.
  if (text.size() > 1 && std::isupper(static_cast<unsigned char>(text[1])) == 0) {
    text[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(text[0])));
  }
  return text;
}

}  // namespace

std::string manual_name(const CLI::App& app) {
  auto name = full_name(app);
  std::ranges::replace(name, ' ', '-');
  return name;
}

std::string to_manual(const CLI::App& app, const ManualPage& page) {
  const auto text = describe(app);
  auto out =
      fmt::format(".\\\" Made from what the program says with --help.\n.TH {} 1 \"{}\" \"fireclaw {}\" \"fireclaw\"\n",
                  upper(page.name), page.date, FIRECLAW_VERSION_STRING);
  out += fmt::format(".SH NAME\n{} \\- {}\n.SH SYNOPSIS\n", escaped(page.name), escaped(begin_small(text.summary)));
  if (page.with_commands) {
    add_synopses(app, out);
  } else {
    out += synopsis(text);
  }
  out += fmt::format(".SH DESCRIPTION\n{}\n", escaped(with_stop(text.summary)));
  for (const auto& paragraph : text.paragraphs) out += fmt::format(".PP\n{}\n", escaped(paragraph));
  if (!text.arguments.empty()) out += ".SH ARGUMENTS\n" + option_list(text.arguments);
  if (!text.options.empty()) out += ".SH OPTIONS\n" + options_by_group(text);
  if (const auto* root = root_of(app); root != &app) {
    out += fmt::format(
        ".PP\n"
        "Options of all commands are described in {}(1).\n",
        bold(manual_name(*root)));
  }
  if (!text.commands.empty()) {
    out += ".SH COMMANDS\n";
    if (page.with_commands) {
      for (const auto* command : text.commands) add_command(*command, out);
    } else {
      out += page_list(text.commands);
    }
  }
  out += sections(text);
  std::vector<std::string> others;
  for (const auto& other : page.see_also) {
    const auto parenthesis = other.find('(');
    others.push_back(bold(other.substr(0, parenthesis)) + other.substr(parenthesis));
  }
  if (!others.empty()) out += fmt::format(".SH SEE ALSO\n{}\n", fmt::join(others, ",\n"));
  return out;
}

void write_manual(const std::filesystem::path& folder, const std::string& name, const std::string& text) {
  std::filesystem::create_directories(folder);
  const auto path = folder / (name + ".1");
  std::ofstream file{path, std::ios::binary | std::ios::trunc};
  file << text;
  file.close();
  if (!file) throw Error{ErrorCode::Io, fmt::format("'{}' cannot be written", path.native())};
}

}  // namespace fireclaw::cli
