#include "irc/text.hpp"

#include <algorithm>
#include <iterator>

#include <fmt/format.h>

#include "common/text/graphemes.hpp"

namespace fireclaw::overseer {
namespace {

constexpr std::string_view replacement = "\xEF\xBF\xBD";

bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

char fold_letter(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

char fold(char c) {
  switch (c) {
    case '[': return '{';
    case ']': return '}';
    case '\\': return '|';
    case '^': return '~';
    default: return fold_letter(c);
  }
}

/// How many of the bytes that follow a colour's control character are its arguments: they would stay behind as text.
std::size_t colour_arguments(char kind, std::string_view rest) {
  std::size_t used = 0;
  if (kind == 3) {
    while (used < 2 && used < rest.size() && is_digit(rest[used])) ++used;
    if (used > 0 && used + 1 < rest.size() && rest[used] == ',' && is_digit(rest[used + 1])) {
      used += 2;
      if (used < rest.size() && is_digit(rest[used])) ++used;
    }
  } else if (kind == 4) {
    if (rest.size() >= 6 && std::all_of(rest.begin(), rest.begin() + 6, is_hex)) used = 6;
  }
  return used;
}

/// The bytes of the characters that fit.
std::size_t fitting(std::string_view line, std::size_t room) {
  std::size_t end = 0;
  while (end < line.size()) {
    const auto length = std::max<std::size_t>(utf8_length(line.substr(end)), 1);
    if (end + length > room) break;
    end += length;
  }
  return end;
}

/// Whether the word behind the spaces fits a line.
bool next_word_fits(std::string_view text, std::size_t room) {
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  return std::min(text.find(' '), text.size()) <= room;
}

}  // namespace

std::string clean_line(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const char c = text.front();
    const auto length = utf8_length(text);
    if (length == 0) {
      out += replacement;
      text.remove_prefix(1);
    } else if (length > 1) {
      const auto character = text.substr(0, length);
      if (!is_control(character) && !misleads(character)) out += character;
      text.remove_prefix(length);
    } else if (c == '\n' || c == '\r' || c == '\t') {
      out += ' ';
      text.remove_prefix(1);
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
      text.remove_prefix(1);
      text.remove_prefix(colour_arguments(c, text));
    } else {
      out += c;
      text.remove_prefix(1);
    }
  }
  return out;
}

std::vector<std::string> clean_lines(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    auto line = clean_line(text.substr(0, text.substr(0, end).ends_with('\r') ? end - 1 : end));
    while (line.ends_with(' ')) line.pop_back();
    if (!line.empty()) lines.push_back(std::move(line));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

std::vector<std::string> wrap(std::string_view line, std::size_t room) {
  constexpr std::size_t longest_character = 4;
  room = std::max(room, longest_character);
  std::vector<std::string> pieces;
  while (!line.empty()) {
    std::size_t end = 0;
    // The last space that stands for itself behind a word.
    std::size_t space = 0;
    bool word = false;
    while (end < line.size()) {
      const auto length = cli::cluster_length(line.substr(end));
      const bool is_space = length == 1 && line[end] == ' ';
      if (is_space && word) space = end;
      word = word || !is_space;
      if (end + length > room) break;
      end += length;
    }
    if (end < line.size() && space > 0 && next_word_fits(line.substr(space), room)) end = space;
    // Longer than a line by itself: letters can carry any number of marks.
    if (end == 0) end = fitting(line, room);
    auto piece = line.substr(0, end);
    line.remove_prefix(end);
    while (piece.ends_with(' ')) piece.remove_suffix(1);
    if (!piece.empty()) pieces.emplace_back(piece);
    line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
  }
  return pieces;
}

std::string fold(std::string_view name) {
  std::string out{name};
  std::ranges::transform(out, out.begin(), [](char c) { return fold(c); });
  return out;
}

std::string fold_letters(std::string_view name) {
  std::string out{name};
  std::ranges::transform(out, out.begin(), fold_letter);
  return out;
}

bool matches(std::string_view mask, std::string_view text) {
  std::size_t m = 0;
  std::size_t t = 0;
  auto star = std::string_view::npos;
  std::size_t mark = 0;
  while (t < text.size()) {
    if (m < mask.size() && mask[m] == '*') {
      star = m++;
      mark = t;
    } else if (m < mask.size() && (mask[m] == '?' || fold_letter(mask[m]) == fold_letter(text[t]))) {
      ++m;
      ++t;
    } else if (star != std::string_view::npos) {
      m = star + 1;
      t = ++mark;
    } else {
      return false;
    }
  }
  return mask.find_first_not_of('*', m) == std::string_view::npos;
}

std::string iso_time_ms(std::chrono::system_clock::time_point time) {
  const auto whole = std::chrono::floor<std::chrono::seconds>(time);
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(time - whole).count();
  auto text = cli::iso_time(whole);
  text.pop_back();
  return fmt::format("{}.{:03}Z", text, ms);
}

}  // namespace fireclaw::overseer
