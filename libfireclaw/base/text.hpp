#pragma once

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <string>
#include <string_view>

/// Functions for texts that the library and the programs share. The programs do not see the rest of the library.
namespace fireclaw {

constexpr bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }
/// Changes only ASCII letters, in any locale.
constexpr char to_lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }
inline std::string to_lower(std::string_view text) {
  std::string lower{text};
  for (char& c : lower) c = to_lower(c);
  return lower;
}

/// Whether `name` can be an agent's: an IRC nick, a host name and a workspace's name at once.
inline bool is_agent_name(std::string_view name) {
  constexpr std::size_t longest = 30;
  return !name.empty() && name.size() <= longest && is_letter(name.front()) && name.back() != '-' &&
         std::ranges::all_of(name, [](char c) { return is_letter(c) || is_digit(c) || c == '-' || c == '_'; });
}

/// The bytes of the UTF-8 character that `text` starts with, or 0 if it starts with none: cut short, overlong, a
/// surrogate, beyond U+10FFFF, or a stray byte.
inline std::size_t utf8_length(std::string_view text) {
  if (text.empty()) return 0;
  const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(text[at]); };
  const auto first = byte(0);
  if (first < 0x80) return 1;
  const std::size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  if ((first == 0xE0 && byte(1) < 0xA0) || (first == 0xF0 && byte(1) < 0x90)) return 0;  // overlong
  if (first == 0xED && byte(1) > 0x9F) return 0;                                         // a surrogate
  if (first == 0xF4 && byte(1) > 0x8F) return 0;                                         // beyond U+10FFFF
  return length;
}

/// Whether the character is a control character of one of the two sets: some terminals obey the second as well.
inline bool is_control(std::string_view character) {
  const auto first = static_cast<unsigned char>(character[0]);
  if (character.size() == 1) return first < 0x20 || first == 0x7F;
  return character.size() == 2 && first == 0xC2 && static_cast<unsigned char>(character[1]) < 0xA0;
}

/// Whether the character ends a line or turns the direction of what follows: a text then reads as something that it is
/// not.
inline bool misleads(std::string_view character) {
  constexpr std::string_view all[] = {"\u061C", "\u200E", "\u200F", "\u2028", "\u2029", "\u202A", "\u202B", "\u202C",
                                      "\u202D", "\u202E", "\u2066", "\u2067", "\u2068", "\u2069", "\uFEFF"};
  return std::ranges::find(all, character) != std::end(all);
}

/// `text` as one line of UTF-8 that holds nothing a terminal obeys: control characters, characters that mislead, and
/// bytes that are not UTF-8, stand there as "\x1b".
inline std::string printable(std::string_view text) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string line;
  line.reserve(text.size());
  while (!text.empty()) {
    const auto length = utf8_length(text);
    const auto character = text.substr(0, std::max<std::size_t>(length, 1));
    text.remove_prefix(character.size());
    if (length != 0 && !is_control(character) && !misleads(character)) {
      line += character;
      continue;
    }
    for (const char c : character) {
      const auto byte = static_cast<unsigned char>(c);
      line += {'\\', 'x', digits[byte >> 4], digits[byte & 15]};
    }
  }
  return line;
}

/// What a tool has printed, as one printable line: its lines one after the other, `between` them.
inline std::string one_line(std::string_view text, std::string_view between = "; ") {
  while (text.ends_with('\n')) text.remove_suffix(1);
  std::string line;
  for (;;) {
    const auto end = text.find('\n');
    line += printable(text.substr(0, end));
    if (end == std::string_view::npos) return line;
    line += between;
    text.remove_prefix(end + 1);
  }
}

}  // namespace fireclaw
