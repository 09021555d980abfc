#include "common/text/text.hpp"

#include <algorithm>
#include <numeric>

#include <fmt/format.h>

#include "common/text/graphemes.hpp"

namespace fireclaw::cli {
namespace {

/// How many letters must be put in, left out, replaced or swapped with the next to make one word of the other.
std::size_t edits_between(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1);
  std::vector<std::size_t> last(b.size() + 1);
  std::iota(last.begin(), last.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::vector<std::size_t> now(b.size() + 1, i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      now[j] = std::min({last[j] + 1, now[j - 1] + 1, last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) now[j] = std::min(now[j], before[j - 2] + 1);
    }
    before = std::move(last);
    last = std::move(now);
  }
  return last.back();
}

/// The code point of a whole character of up to three bytes.
unsigned code_point(std::string_view character) {
  constexpr unsigned first_bits[] = {0x7F, 0x1F, 0x0F};
  unsigned code = static_cast<unsigned char>(character[0]) & first_bits[character.size() - 1];
  for (const char c : character.substr(1)) code = code << 6 | (static_cast<unsigned char>(c) & 0x3F);
  return code;
}

}  // namespace

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const auto length = utf8_length(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

std::size_t width(std::string_view text) {
  std::size_t characters = 0;
  while (!text.empty()) {
    text.remove_prefix(std::max<std::size_t>(utf8_length(text), 1));
    ++characters;
  }
  return characters;
}

std::string shorten(std::string_view line, std::size_t most) {
  std::size_t at = 0;
  std::size_t kept = 0;
  std::size_t count = 0;
  while (at < line.size()) {
    const auto length = cluster_length(line.substr(at));
    count += width(line.substr(at, length));
    if (count > most) return std::string{line.substr(0, kept)} + "…";
    at += length;
    if (count < most) kept = at;
  }
  return std::string{line};
}

std::string escape_controls(std::string_view json) {
  std::string escaped;
  escaped.reserve(json.size());
  while (!json.empty()) {
    const auto length = std::max<std::size_t>(utf8_length(json), 1);
    const auto character = json.substr(0, length);
    json.remove_prefix(length);
    // The only control character of one byte here is DEL: the others are escaped already, or JSON's own white space.
    if (character == "\x7f" || (length > 1 && (is_control(character) || misleads(character)))) {
      escaped += fmt::format("\\u{:04x}", code_point(character));
    } else {
      escaped += character;
    }
  }
  return escaped;
}

std::vector<std::string> wrap_words(std::string_view text, std::size_t columns) {
  std::vector<std::string> lines{""};
  while (!text.empty()) {
    text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
    const auto word = text.substr(0, text.find(' '));
    text.remove_prefix(word.size());
    if (word.empty()) break;
    if (!lines.back().empty() && width(lines.back()) + 1 + width(word) > columns) lines.emplace_back();
    if (!lines.back().empty()) lines.back() += ' ';
    lines.back() += word;
  }
  return lines;
}

std::string likely_meant(std::string_view word, const std::vector<std::string>& known) {
  // One or two letters resemble too much.
  const auto letters = word.find_first_not_of('-');
  if (letters == std::string_view::npos || word.size() - letters < 3) return {};
  const auto most = std::max<std::size_t>((word.size() - letters) / 3, 1);
  std::string best;
  auto fewest = most + 1;
  for (const auto& candidate : known) {
    const bool begun = candidate.starts_with(word);
    const auto edits = begun ? 1 : edits_between(word, candidate);
    if (edits < fewest) {
      best = candidate;
      fewest = edits;
    }
  }
  return best;
}

}  // namespace fireclaw::cli
