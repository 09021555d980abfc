#include "crew/commands.hpp"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include <fmt/format.h>

#include "base/number.hpp"
#include "base/text.hpp"
#include "common/command_line/network_word.hpp"
#include "irc/text.hpp"

namespace fireclaw::overseer {
namespace {

constexpr std::size_t longest_quote = 40;
constexpr std::size_t longest_word = 200;
constexpr std::size_t longest_snapshot = 64;

const CommandRow* find_row(std::string_view word) {
  const auto folded = fold(word);
  const auto rows = command_rows();
  const auto found = std::ranges::find(rows, folded, &CommandRow::word);
  return found == rows.end() ? nullptr : &*found;
}

std::string quoted(std::string_view word) { return fmt::format("\"{}\"", shorten(std::string{word}, longest_quote)); }

std::string usage(const CommandRow& row) {
  return fmt::format("{}{}{}", row.word, row.arguments.empty() ? "" : " ", row.arguments);
}

Malformed unknown(std::string_view word) {
  std::vector<std::string> known;
  for (const auto& row : command_rows()) known.emplace_back(row.word);
  const auto meant = cli::likely_meant(fold(word.substr(0, longest_quote)), known);
  const auto hint = meant.empty() ? std::string{} : fmt::format("did you mean {}? ", meant);
  return {fmt::format("There is no command {}; {}!help lists them all.", quoted(word), hint)};
}

/// The words of a command's arguments, taken one by one.
class Words {
 public:
  explicit Words(std::string_view text) : rest_{text} { skip(); }

  [[nodiscard]] bool empty() const { return rest_.empty(); }
  std::string_view next() {
    const auto word = rest_.substr(0, rest_.find(' '));
    rest_.remove_prefix(word.size());
    skip();
    return word;
  }
  /// All that is left, as one text.
  std::string_view rest() {
    auto text = std::exchange(rest_, {});
    while (text.ends_with(' ')) text.remove_suffix(1);
    return text;
  }

 private:
  void skip() { rest_.remove_prefix(std::min(rest_.find_first_not_of(' '), rest_.size())); }
  std::string_view rest_;
};

/// Says what is wrong, and how it is done.
struct Wrong {
  std::string what;
};

std::string take_name(Words& words, std::string_view what = "an agent's name") {
  if (words.empty()) throw Wrong{fmt::format("{} is missing", what)};
  const auto word = words.next();
  if (!is_agent_name(word)) {
    throw Wrong{
        fmt::format("{} cannot be {} (a letter, then letters, digits, - and _, at most 30)", quoted(word), what)};
  }
  return std::string{word};
}

std::string take_model(Words& words) {
  if (words.empty()) throw Wrong{"the model is missing"};
  const auto word = words.next();
  if (word.size() > longest_word) throw Wrong{fmt::format("{} cannot be a model's name: it is too long", quoted(word))};
  return std::string{word};
}

std::string take_destination(Words& words) {
  if (words.empty()) throw Wrong{"the destination is missing (CIDR, address or host name, with or without :port)"};
  const auto word = words.next();
  constexpr std::size_t longest = 260;
  if (word.size() > longest) throw Wrong{fmt::format("{} cannot be a destination: it is too long", quoted(word))};
  return std::string{word};
}

std::string take_snapshot(Words& words) {
  const auto word = words.next();
  const auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
           c == '-';
  };
  if (word.size() > longest_snapshot || !std::ranges::all_of(word, fits) || word.find_first_of("._-") == 0) {
    throw Wrong{fmt::format("{} cannot be a snapshot's name (a letter or digit, then letters, digits, ., _ and -)",
                            quoted(word))};
  }
  return std::string{word};
}

std::string take_text(Words& words) {
  if (words.empty()) throw Wrong{"the text is missing"};
  return std::string{words.rest()};
}

std::size_t take_lines(Words& words) {
  if (words.empty()) return default_log_lines;
  const auto word = words.next();
  const auto count = parse_number<std::size_t>(word).value_or(0);
  if (count == 0 || count > most_log_lines) {
    throw Wrong{fmt::format("{} is not a number of lines from 1 to {}", quoted(word), most_log_lines)};
  }
  return count;
}

std::string take_network(Words& words) {
  if (words.empty()) throw Wrong{"the network is missing"};
  const auto word = words.next();
  if (word != "nat" && word != "user" && word != cli::services_only) {
    throw Wrong{fmt::format("{} cannot be an agent's network (nat, services or user)", quoted(word))};
  }
  return std::string{word};
}

/// Has `take` read what "--flag VALUE" or "--flag=VALUE" says. False if the next word is another.
template <typename Take>
bool take_flag(std::string_view flag, Words& words, const Take& take) {
  auto ahead = words;
  const auto word = ahead.next();
  if (word == flag) {
    words = ahead;
    take(words);
    return true;
  }
  if (!word.starts_with(flag) || word[flag.size()] != '=') return false;
  words = ahead;
  Words value{word.substr(flag.size() + 1)};
  take(value);
  return true;
}

void read_invoke(Words& words, Command& command) {
  const auto model = [&](Words& from) { command.model = take_model(from); };
  const auto network = [&](Words& from) { command.network = take_network(from); };
  command.template_name = take_name(words, "a template's name");
  while (!words.empty()) {
    if (!command.model && take_flag("--model", words, model)) continue;
    if (command.network.empty() && take_flag("--net", words, network)) continue;
    auto ahead = words;
    const auto word = ahead.next();
    if (!command.agent.empty() || word.starts_with('-'))
      throw Wrong{fmt::format("unexpected argument {}", quoted(word))};
    command.agent = take_name(words);
  }
}

/// Reads one argument, as it stands in a row: "<name>".
void read_argument(std::string_view argument, Words& words, Command& command) {
  if (argument.starts_with('[') && argument != "[lines]" && words.empty()) return;
  if (argument == "<name>") {
    command.agent = take_name(words);
  } else if (argument == "<new>") {
    command.text = take_name(words, "the new agent's name");
  } else if (argument == "<model>") {
    command.text = take_model(words);
  } else if (argument == "<destination>") {
    command.text = take_destination(words);
  } else if (argument == "<text>") {
    command.text = take_text(words);
  } else if (argument == "[lines]") {
    command.lines = take_lines(words);
  } else if (argument == "[snapshot]") {
    command.text = take_snapshot(words);
  } else if (argument == "[command]") {
    command.text = words.next();
  } else {
    throw std::logic_error{fmt::format("nothing reads the argument {}", argument)};
  }
}

Command read(const CommandRow& row, Words words) {
  Command command;
  command.verb = row.verb;
  if (row.arguments.starts_with("<template>")) {
    read_invoke(words, command);
  } else {
    for (Words arguments{row.arguments}; !arguments.empty();) read_argument(arguments.next(), words, command);
  }
  if (!words.empty()) throw Wrong{fmt::format("unexpected argument {}", quoted(words.next()))};
  return command;
}

}  // namespace

std::optional<std::variant<Command, Malformed>> parse_command(std::string_view line) {
  Words words{line};
  const auto word = words.next();
  if (word.size() < 2 || word[0] != '!' || !is_letter(word[1])) return std::nullopt;
  const auto* row = find_row(word);
  if (row == nullptr) return unknown(word);
  try {
    return read(*row, words);
  } catch (const Wrong& wrong) {
    return Malformed{fmt::format("{}: {}. Usage: {}", row->word, wrong.what, usage(*row))};
  }
}

const CommandRow& row_of(Verb verb) { return *std::ranges::find(command_rows(), verb, &CommandRow::verb); }

std::string_view word_of(Verb verb) { return row_of(verb).word; }

std::string to_text(const Command& command) {
  std::string text{word_of(command.verb)};
  if (!command.template_name.empty()) text += " " + command.template_name;
  // By its template's name unless another was given.
  if (!command.agent.empty() && command.agent != command.template_name) text += " " + command.agent;
  if (command.model) text += " --model " + *command.model;
  if (!command.network.empty()) text += " --net " + command.network;
  if (!command.text.empty()) text += " " + command.text;
  if (command.lines != 0) text += fmt::format(" {}", command.lines);
  return text;
}

std::string help_for(std::string_view word) {
  if (word.empty()) {
    std::string all = "Commands:";
    for (const auto& row : command_rows()) all += fmt::format(" {}", row.word);
    return all + ". More about one: !help <command>";
  }
  const auto marked = word.starts_with('!') ? std::string{word} : fmt::format("!{}", word);
  const auto* row = find_row(marked);
  return row == nullptr ? unknown(marked).help : fmt::format("{}: {}", usage(*row), row->meaning);
}

}  // namespace fireclaw::overseer
