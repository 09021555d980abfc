#include "common/command_line/completion.hpp"

#include <algorithm>
#include <cctype>

#include <fmt/format.h>

#include "common/command_line/command_text.hpp"
#include "common/text/text.hpp"

namespace fireclaw::cli {
namespace {

/// Values that are known beforehand are written as what stands for them: "none|user|nat".
std::vector<Candidate> choices_in(std::string_view type) {
  std::vector<Candidate> choices;
  const bool listed = type.find('|') != std::string_view::npos &&
                      std::ranges::none_of(type, [](unsigned char c) { return std::isupper(c) != 0; });
  while (listed && !type.empty()) {
    const auto choice = type.substr(0, type.find('|'));
    type.remove_prefix(std::min(choice.size() + 1, type.size()));
    choices.push_back({std::string{choice}, {}});
  }
  return choices;
}

/// Reads a line word by word, as the parser would.
class Reader {
 public:
  Reader(const CLI::App& app, const Names& names) : command_{&app}, names_{names} {}

  /// False if what follows is another program's.
  [[nodiscard]] bool take(const std::string& word) {
    if (pending_ != nullptr) {
      pending_ = nullptr;
    } else if (!ended_ && word == "--") {
      ended_ = true;
    } else if (!ended_ && word.size() > 1 && word.starts_with('-')) {
      take_option(word);
    } else if (const auto* inside = command_named(word)) {
      command_ = inside;
      return !inside->get_prefix_command();
    } else {
      ++arguments_;
    }
    return true;
  }

  [[nodiscard]] const CLI::App& command() const { return *command_; }

  [[nodiscard]] Completion offer(const std::string& word) const {
    Completion completion;
    if (pending_ != nullptr) {
      add_values(*pending_, "", completion);
    } else if (!ended_ && word.starts_with("--") && word.find('=') != std::string::npos) {
      const auto name = word.substr(0, word.find('='));
      if (const auto* option = option_named(name)) add_values(*option, name + "=", completion);
    } else if (!ended_ && word.starts_with('-')) {
      add_options(completion);
    } else {
      add_words(completion);
    }
    std::erase_if(completion.candidates, [&](const Candidate& one) { return !one.text.starts_with(word); });
    return completion;
  }

 private:
  void take_option(const std::string& word) {
    if (word.starts_with("--")) {
      const auto* option = option_named(word.substr(0, word.find('=')));
      if (option == nullptr) return;
      given_.push_back(option);
      if (takes_value(*option) && word.find('=') == std::string::npos) pending_ = option;
      return;
    }
    // "-it", "-t5": the value of the first that takes one is the rest of the word, or the next word.
    for (std::size_t at = 1; at < word.size(); ++at) {
      const auto* option = option_named(std::string{'-', word[at]});
      if (option == nullptr) return;
      given_.push_back(option);
      if (!takes_value(*option)) continue;
      if (at + 1 == word.size()) pending_ = option;
      return;
    }
  }

  [[nodiscard]] const CLI::App* command_named(const std::string& word) const {
    if (ended_ || arguments_ > 0) return nullptr;
    const auto inside = commands_in(*command_);
    const auto found = std::ranges::find_if(inside, [&](const CLI::App* one) { return one->check_name(word); });
    return found == inside.end() ? nullptr : *found;
  }

  /// Options of the commands around it are taken, too.
  [[nodiscard]] const CLI::Option* option_named(const std::string& name) const {
    for (const auto* app = command_; app != nullptr; app = app->get_parent()) {
      for (const auto* option : options_of(*app)) {
        const auto names = names_of(*option);
        if (std::ranges::find(names, name) != names.end()) return option;
      }
    }
    return nullptr;
  }

  void add_values(const CLI::Option& option, const std::string& before, Completion& completion) const {
    const auto type = option.get_type_name();
    if (type == "DIR") completion.files = Completion::Files::Folders;
    if (type == "FILE" || type == "PATH" || type == "PATH|URL") completion.files = Completion::Files::All;
    auto candidates = choices_in(type);
    if (candidates.empty() && names_) candidates = names_(type);
    for (auto& candidate : candidates) {
      candidate.text = before + candidate.text;
      completion.candidates.push_back(std::move(candidate));
    }
  }

  void add_options(Completion& completion) const {
    for (const auto* app = command_; app != nullptr; app = app->get_parent()) {
      for (const auto* option : options_of(*app)) {
        // Options with a heading of their own are what a program takes by itself, not its commands.
        if (app != command_ && !describe(*option).group.empty()) continue;
        const bool done = std::ranges::find(given_, option) != given_.end();
        const auto meaning = option->get_description();
        const auto names = names_of(*option);
        // One that may be repeated can come again. The long name says more than the short one.
        if ((!done || describe(*option).repeated) && !names.empty() && !is_help_of_another(*app, names.back())) {
          completion.candidates.push_back({names.back(), meaning});
        }
      }
    }
  }

  [[nodiscard]] bool is_help_of_another(const CLI::App& app, const std::string& name) const {
    return &app != command_ && (name == "--help" || name == "--version");
  }

  void add_words(Completion& completion) const {
    if (arguments_ == 0 && !ended_) {
      for (const auto* inside : commands_in(*command_)) {
        completion.candidates.push_back({inside->get_name(), inside->get_description()});
      }
    }
    const auto arguments = arguments_of(*command_);
    if (arguments.empty()) return;
    // The last of them takes all that follows, if it takes several.
    const auto at = std::min(arguments_, arguments.size() - 1);
    if (arguments_ >= arguments.size() && arguments[at]->get_expected_max() <= 1) return;
    add_values(*arguments[at], "", completion);
  }

  const CLI::App* command_;
  const Names& names_;
  const CLI::Option* pending_ = nullptr;
  std::vector<const CLI::Option*> given_;
  std::size_t arguments_ = 0;
  bool ended_ = false;
};

}  // namespace

Forwarded forwarded(const CLI::App& app, const std::vector<std::string>& words) {
  const Names no_names;
  Reader reader{app, no_names};
  for (std::size_t i = 0; i + 1 < words.size(); ++i) {
    if (reader.take(words[i])) continue;
    Forwarded another{reader.command().get_name(), words};
    another.words.erase(another.words.begin() + static_cast<std::ptrdiff_t>(i));
    return another;
  }
  return {};
}

Completion complete(const CLI::App& app, const std::vector<std::string>& words, const Names& names) {
  if (words.empty()) return {};
  Reader reader{app, names};
  for (std::size_t i = 0; i + 1 < words.size(); ++i) static_cast<void>(reader.take(words[i]));
  return reader.offer(words.back());
}

std::string value_in(const std::vector<std::string>& words, std::string_view option) {
  std::string value;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (words[i] == option && i + 1 < words.size()) value = words[i + 1];
    if (words[i].starts_with(option) && words[i].substr(option.size()).starts_with('=')) {
      value = words[i].substr(option.size() + 1);
    }
  }
  return value;
}

std::string to_lines(const Completion& completion) {
  std::string lines;
  switch (completion.files) {
    case Completion::Files::None: lines = "none\n"; break;
    case Completion::Files::All: lines = "files\n"; break;
    case Completion::Files::Folders: lines = "folders\n"; break;
  }
  for (const auto& [text, meaning] : completion.candidates) {
    lines += fmt::format("{}\t{}\n", printable(text), printable(meaning));
  }
  return lines;
}

}  // namespace fireclaw::cli
