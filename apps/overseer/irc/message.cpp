#include "irc/message.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "base/text.hpp"
#include "fireclaw/error.hpp"

namespace fireclaw::overseer {
namespace {

/// More than any server sends: 8191 bytes of tags and a line of 512.
constexpr std::size_t longest_line = 16384;
/// RFC 2812 has 15; a server that sends more is not worth the memory.
constexpr std::size_t most_params = 64;

bool is_command(std::string_view word) {
  if (word.size() == 3 && std::ranges::all_of(word, is_digit)) return true;
  return !word.empty() && std::ranges::all_of(word, is_letter);
}

/// The part up to the next space, which is taken off with the spaces after it.
std::string_view take_word(std::string_view& line) {
  const auto word = line.substr(0, line.find(' '));
  line.remove_prefix(word.size());
  line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
  return word;
}

std::string unescape(std::string_view value) {
  std::string out;
  for (std::size_t i = 0; i < value.size(); ++i) {
    if (value[i] != '\\') {
      out += value[i];
      continue;
    }
    if (++i == value.size()) break;
    switch (value[i]) {
      case ':': out += ';'; break;
      case 's': out += ' '; break;
      case 'r': out += '\r'; break;
      case 'n': out += '\n'; break;
      default: out += value[i];
    }
  }
  return out;
}

void read_tags(std::string_view text, IrcMessage& message) {
  while (!text.empty()) {
    const auto item = text.substr(0, text.find(';'));
    text.remove_prefix(std::min(item.size() + 1, text.size()));
    const auto name = item.substr(0, item.find('='));
    if (name.empty()) continue;
    const auto value = name.size() < item.size() ? item.substr(name.size() + 1) : std::string_view{};
    message.tags.emplace_back(name, unescape(value));
  }
}

}  // namespace

std::string_view IrcMessage::param(std::size_t index) const {
  return index < params.size() ? std::string_view{params[index]} : std::string_view{};
}

std::string_view IrcMessage::last() const { return params.empty() ? std::string_view{} : params.back(); }

std::string_view IrcMessage::nick() const { return std::string_view{source}.substr(0, source.find_first_of("!@")); }

std::string_view IrcMessage::tag(std::string_view name) const {
  // If two have the same name, the last one counts.
  const auto found = std::find_if(tags.rbegin(), tags.rend(), [&](const auto& tag) { return tag.first == name; });
  return found == tags.rend() ? std::string_view{} : std::string_view{found->second};
}

std::optional<IrcMessage> parse_irc(std::string_view line) {
  if (line.size() > longest_line || line.find_first_of(std::string_view{"\r\n\0", 3}) != std::string_view::npos) {
    return std::nullopt;
  }
  IrcMessage message;
  if (line.starts_with('@')) read_tags(take_word(line).substr(1), message);
  if (line.starts_with(':')) message.source = take_word(line).substr(1);
  const auto command = take_word(line);
  if (!is_command(command)) return std::nullopt;
  message.command = command;
  std::ranges::transform(message.command, message.command.begin(),
                         [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; });
  while (!line.empty()) {
    if (message.params.size() == most_params) return std::nullopt;
    if (line.starts_with(':')) {
      message.params.emplace_back(line.substr(1));
      break;
    }
    message.params.emplace_back(take_word(line));
  }
  return message;
}

std::string build_irc(std::string_view command, const std::vector<std::string>& params) {
  if (!is_command(command)) {
    throw Error{ErrorCode::InvalidArgument, fmt::format("'{}' is not an IRC command", command)};
  }
  std::string line{command};
  for (std::size_t i = 0; i < params.size(); ++i) {
    const auto& param = params[i];
    const bool last = i + 1 == params.size();
    const bool plain = !param.empty() && !param.starts_with(':') && param.find(' ') == std::string::npos;
    if (param.find_first_of(std::string_view{"\r\n\0", 3}) != std::string::npos || (!plain && !last)) {
      throw Error{ErrorCode::InvalidArgument, fmt::format("'{}' cannot be part of an IRC message", param)};
    }
    line += plain ? " " : " :";
    line += param;
  }
  return line + "\r\n";
}

std::vector<std::string> IrcLineBuffer::feed(std::string_view bytes) {
  std::vector<std::string> lines;
  while (!bytes.empty()) {
    const auto end = bytes.find('\n');
    if (!skipping_) rest_ += bytes.substr(0, end);
    if (rest_.size() > longest_line) {
      rest_.clear();
      skipping_ = true;
    }
    if (end == std::string_view::npos) break;
    bytes.remove_prefix(end + 1);
    if (!skipping_) {
      while (rest_.ends_with('\r')) rest_.pop_back();
      if (!rest_.empty()) lines.push_back(std::move(rest_));
    }
    rest_.clear();
    skipping_ = false;
  }
  return lines;
}

}  // namespace fireclaw::overseer
