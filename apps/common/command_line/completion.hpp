#pragma once

#include <CLI/CLI.hpp>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace fireclaw::cli {

/// One way in which a line can continue.
struct Candidate {
  std::string text;
  /// Its meaning, in a few words; can be empty.
  std::string meaning;
  friend bool operator==(const Candidate&, const Candidate&) = default;
};

/// How the last word of a line can continue.
struct Completion {
  /// Which files the shell offers beside the candidates.
  enum class Files { None, All, Folders };

  std::vector<Candidate> candidates;
  Files files = Files::None;
};

/// The names for a value of this type ("IMAGE", "VM") in the home folder.
using Names = std::function<std::vector<Candidate>(std::string_view type)>;

/// The command whose words another program completes, if the line has come to one.
struct Forwarded {
  /// Empty if it has not.
  std::string command;
  /// All words but that.
  std::vector<std::string> words;
};
Forwarded forwarded(const CLI::App& app, const std::vector<std::string>& words);

/// How `words`, a command line without the program's name, can continue; the last of them is the one that is being
/// written, and may be empty.
Completion complete(const CLI::App& app, const std::vector<std::string>& words, const Names& names);

/// The value that the words give to an option, or empty: for looking up names before anything has
/// been parsed.
std::string value_in(const std::vector<std::string>& words, std::string_view option);

/// As the shells' scripts read it: a line that says what to offer beside ("none", "files", "folders"), then a line for
/// each candidate that begins with what has been written, the text and its meaning with a tab between.
std::string to_lines(const Completion& completion);

}  // namespace fireclaw::cli
