#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace fireclaw::overseer {

enum class Verb {
  Invoke,
  Destroy,
  Restart,
  StopAll,
  Pause,
  Resume,
  Model,
  Persona,
  List,
  Status,
  Logs,
  Memory,
  Denied,
  Allow,
  Deny,
  Templates,
  Say,
  Snapshot,
  Fork,
  Help,
  Version,
};

class Agents;
struct Outcome;

/// A command. Its verb decides which members have a meaning.
struct Command {
  Verb verb = Verb::Help;
  /// The agent; empty with Invoke: the template's own name.
  std::string agent;
  std::string template_name;
  /// Allow and Deny: the destination; Model: the new one; Persona and Say: the text; Fork: the new agent; Snapshot: its
  /// name, or empty; Help: a command's word, or empty.
  std::string text;
  /// Invoke: instead of the template's.
  std::optional<std::string> model;
  /// Invoke: "nat", "user" or "services"; empty: the template's.
  std::string network;
  /// Logs: how many.
  std::size_t lines = 0;

  bool operator==(const Command&) const = default;
};

/// A command that cannot be carried out: the answer to its sender, in one line.
struct Malformed {
  std::string help;

  bool operator==(const Malformed&) const = default;
};

/// A command's kind. Changes of one agent are made in order; questions may wait for a guest.
enum class Kind { Change, Question };

/// The whole description of a command.
struct CommandRow {
  Verb verb;
  /// With its exclamation mark: "!invoke".
  std::string_view word;
  /// As help shows them, and as they are read: "<name> [lines]".
  std::string_view arguments;
  std::string_view meaning;
  Kind kind;
  /// What it does to the agents. Null: it needs more than them, and the desk does it.
  Outcome (*act)(Agents& agents, const Command& command, const std::stop_token& stop);
};

/// Every command has a row, in the order in which help lists them (actions.cpp).
std::span<const CommandRow> command_rows();
const CommandRow& row_of(Verb verb);

inline constexpr std::size_t default_log_lines = 5;
inline constexpr std::size_t most_log_lines = 20;

/// Reads a clean line. None if it is not a command: those begin with an exclamation mark and a letter.
std::optional<std::variant<Command, Malformed>> parse_command(std::string_view line);

/// The word with its exclamation mark: "!invoke".
std::string_view word_of(Verb verb);
/// A command as a person would type it.
std::string to_text(const Command& command);
/// One line about the command of that word (with or without the mark), or about all of them.
std::string help_for(std::string_view word);

}  // namespace fireclaw::overseer
