#include "crew/commands.hpp"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <numeric>
#include <utility>

#include <fmt/format.h>

#include "irc/text.hpp"

namespace fireclaw::overseer {
namespace {

struct Entry {
  Verb verb;
  std::string_view word;
  std::string_view arguments;
  std::string_view meaning;
};

constexpr Entry entries[] = {
    {Verb::Invoke, "!invoke", "<template> [name] [--model M]", "start an agent"},
    {Verb::Destroy, "!destroy", "<name>", "end an agent; its workspace stays"},
    {Verb::Restart, "!restart", "<name>", "stop and start an agent"},
    {Verb::StopAll, "!stopall", "", "stop all agents; !restart starts them again"},
    {Verb::Pause, "!pause", "<name>", "pause an agent's machine"},
    {Verb::Resume, "!resume", "<name>", "resume it"},
    {Verb::Model, "!model", "<name> <model>", "give an agent another model"},
    {Verb::Persona, "!persona", "<name> <text>", "tell an agent who it is to be"},
    {Verb::List, "!list", "", "list the agents"},
    {Verb::Status, "!status", "<name>", "how an agent is"},
    {Verb::Logs, "!logs", "<name> [lines]", "the last lines of an agent's log"},
    {Verb::Memory, "!memory", "<name>", "what an agent has written down"},
    {Verb::Templates, "!templates", "", "list what agents are made from"},
    {Verb::Say, "!say", "<name> <text>", "say something to an agent; its answer comes here"},
    {Verb::Snapshot, "!snapshot", "<name> [snapshot]", "save a running agent: memory, processes, files"},
    {Verb::Fork, "!fork", "<name> <new>", "start a second agent from a running one"},
    {Verb::Help, "!help", "[command]", "explain a command"},
    {Verb::Version, "!version", "", "which fireclaw this is"},
};

constexpr std::size_t longest_quote = 40;
constexpr std::size_t longest_word = 200;
constexpr std::size_t longest_snapshot = 64;

const Entry& entry_of(Verb verb) { return *std::ranges::find(entries, verb, &Entry::verb); }

const Entry* find_entry(std::string_view word) {
  const auto folded = fold(word);
  const auto* found = std::ranges::find(entries, folded, &Entry::word);
  return found == std::end(entries) ? nullptr : found;
}

std::string quoted(std::string_view word) { return fmt::format("\"{}\"", shorten(std::string{word}, longest_quote)); }

std::string usage(const Entry& entry) {
  return fmt::format("{}{}{}", entry.word, entry.arguments.empty() ? "" : " ", entry.arguments);
}

/// How many characters must be changed, put in or taken out to make one word of the other.
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    auto diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const auto replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

Malformed unknown(std::string_view word) {
  constexpr std::size_t near = 2;
  const auto folded = fold(word.substr(0, longest_quote));
  const auto* best =
      std::ranges::min_element(entries, {}, [&](const Entry& entry) { return distance(folded, entry.word); });
  const auto hint = distance(folded, best->word) <= near ? fmt::format("did you mean {}? ", best->word) : std::string{};
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
  std::size_t count = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), count);
  if (error != std::errc{} || end != word.data() + word.size() || count == 0 || count > most_log_lines) {
    throw Wrong{fmt::format("{} is not a number of lines from 1 to {}", quoted(word), most_log_lines)};
  }
  return count;
}

void read_invoke(Words& words, Command& command) {
  command.template_name = take_name(words, "a template's name");
  while (!words.empty()) {
    auto ahead = words;
    const auto word = ahead.next();
    constexpr std::string_view flag = "--model";
    if (word == flag && !command.model) {
      words = ahead;
      command.model = take_model(words);
    } else if (word.starts_with("--model=") && !command.model) {
      words = ahead;
      Words value{word.substr(flag.size() + 1)};
      command.model = take_model(value);
    } else if (command.agent.empty() && !word.starts_with('-')) {
      command.agent = take_name(words);
    } else {
      throw Wrong{fmt::format("{} is too much", quoted(word))};
    }
  }
}

Command read(Verb verb, Words words) {
  Command command;
  command.verb = verb;
  switch (verb) {
    case Verb::Invoke: read_invoke(words, command); break;
    case Verb::Destroy:
    case Verb::Restart:
    case Verb::Pause:
    case Verb::Resume:
    case Verb::Status:
    case Verb::Memory: command.agent = take_name(words); break;
    case Verb::Snapshot:
      command.agent = take_name(words);
      if (!words.empty()) command.text = take_snapshot(words);
      break;
    case Verb::Model:
      command.agent = take_name(words);
      command.text = take_model(words);
      break;
    case Verb::Persona:
    case Verb::Say:
      command.agent = take_name(words);
      command.text = take_text(words);
      break;
    case Verb::Logs:
      command.agent = take_name(words);
      command.lines = take_lines(words);
      break;
    case Verb::Fork:
      command.agent = take_name(words);
      command.text = take_name(words, "the new agent's name");
      break;
    case Verb::Help:
      if (!words.empty()) command.text = words.next();
      break;
    case Verb::StopAll:
    case Verb::List:
    case Verb::Templates:
    case Verb::Version: break;
  }
  if (!words.empty()) throw Wrong{fmt::format("{} is too much", quoted(words.next()))};
  return command;
}

}  // namespace

std::optional<std::variant<Command, Malformed>> parse_command(std::string_view line) {
  Words words{line};
  const auto word = words.next();
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  if (word.size() < 2 || word[0] != '!' || !is_letter(word[1])) return std::nullopt;
  const auto* entry = find_entry(word);
  if (entry == nullptr) return unknown(word);
  try {
    return read(entry->verb, words);
  } catch (const Wrong& wrong) {
    return Malformed{fmt::format("{}: {}. Usage: {}", entry->word, wrong.what, usage(*entry))};
  }
}

std::string_view word_of(Verb verb) { return entry_of(verb).word; }

std::string to_text(const Command& command) {
  std::string text{word_of(command.verb)};
  if (!command.template_name.empty()) text += " " + command.template_name;
  // By its template's name unless another was given.
  if (!command.agent.empty() && command.agent != command.template_name) text += " " + command.agent;
  if (command.model) text += " --model " + *command.model;
  if (!command.text.empty()) text += " " + command.text;
  if (command.lines != 0) text += fmt::format(" {}", command.lines);
  return text;
}

std::string help_for(std::string_view word) {
  if (word.empty()) {
    std::string all = "Commands:";
    for (const auto& entry : entries) all += fmt::format(" {}", entry.word);
    return all + ". More about one: !help <command>";
  }
  const auto marked = word.starts_with('!') ? std::string{word} : fmt::format("!{}", word);
  const auto* entry = find_entry(marked);
  return entry == nullptr ? unknown(marked).help : fmt::format("{}: {}", usage(*entry), entry->meaning);
}

}  // namespace fireclaw::overseer
