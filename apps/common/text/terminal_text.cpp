#include "common/text/terminal_text.hpp"

#include <algorithm>
#include <utility>

#include "common/text/text.hpp"

namespace fireclaw::cli {
namespace {

/// Whether more bytes could make these few the beginning of a character.
bool begins_character(std::string_view bytes) {
  const auto first = static_cast<unsigned char>(bytes[0]);
  if (first < 0xC2 || first > 0xF4) return false;
  const std::size_t length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  return bytes.size() < length && std::all_of(bytes.begin() + 1, bytes.end(),
                                              [](char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; });
}

}  // namespace

std::string TerminalText::add(std::string_view piece) {
  const auto bytes = std::exchange(torn_, {}) + std::string{piece};
  std::string text;
  for (std::string_view rest = bytes; !rest.empty();) {
    const auto length = utf8_length(rest);
    if (length == 0 && begins_character(rest)) {
      torn_ = rest;
      break;
    }
    const auto character = rest.substr(0, std::max<std::size_t>(length, 1));
    const bool stays = rest[0] == '\n' || rest[0] == '\t' || (rest[0] == '\r' && returns_ == Returns::Keep);
    text += stays ? std::string{character} : printable(character);
    rest.remove_prefix(character.size());
  }
  return text;
}

std::string TerminalText::finish() { return printable(std::exchange(torn_, {})); }

}  // namespace fireclaw::cli
