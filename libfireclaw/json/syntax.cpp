#include "json/syntax.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cstdint>
#include <vector>

#include "base/text.hpp"

namespace fireclaw::json {
namespace {

constexpr int end_of_text = -1;

bool is_digit(int c) { return c >= '0' && c <= '9'; }

/// Walks over a text until something in it is not JSON. Keeps the open containers itself, so that a text nested very
/// deep costs memory and not stack.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_{text} {}

  std::optional<SyntaxError> scan() {
    while (!done_ && !error_) {
      skip_space();
      step();
    }
    return std::move(error_);
  }

 private:
  enum class Expected { Value, ValueOrEnd, Key, KeyOrEnd, Separator };

  void step() {
    switch (expected_) {
      case Expected::Value: return value("expected a value");
      case Expected::ValueOrEnd: return peek() == ']' ? close() : value("expected a value or ']'");
      case Expected::Key: return key("expected a key in double quotes");
      case Expected::KeyOrEnd: return peek() == '}' ? close() : key("expected a key in double quotes or '}'");
      case Expected::Separator: return separator();
    }
  }

  void value(std::string_view otherwise) {
    constexpr std::array<std::string_view, 3> words{"true", "false", "null"};
    expected_ = Expected::Separator;
    const int c = peek();
    if (c == '{' || c == '[') {
      open_.push_back(static_cast<char>(c));
      expected_ = c == '{' ? Expected::KeyOrEnd : Expected::ValueOrEnd;
      ++at_;
    } else if (c == '"') {
      string();
    } else if (c == '-' || is_digit(c)) {
      number();
    } else {
      const auto* const word =
          std::find_if(words.begin(), words.end(), [&](auto w) { return text_.substr(at_).starts_with(w); });
      if (word == words.end()) return fail(otherwise);
      at_ += word->size();
    }
  }

  void key(std::string_view otherwise) {
    if (peek() != '"') return fail(otherwise);
    string();
    skip_space();
    if (error_) return;
    if (peek() != ':') return fail("expected ':'");
    ++at_;
    expected_ = Expected::Value;
  }

  void separator() {
    if (open_.empty()) {
      if (peek() != end_of_text) return fail("expected nothing more");
      done_ = true;
      return;
    }
    const bool in_object = open_.back() == '{';
    if (peek() == ',') {
      ++at_;
      expected_ = in_object ? Expected::Key : Expected::Value;
    } else if (peek() == (in_object ? '}' : ']')) {
      close();
    } else {
      fail(in_object ? "expected ',' or '}'" : "expected ',' or ']'");
    }
  }

  void close() {
    ++at_;
    open_.pop_back();
    expected_ = Expected::Separator;
  }

  void string() {
    for (++at_; peek() != '"';) {
      const int c = peek();
      if (c == end_of_text) return fail("expected '\"' at the string's end");
      if (c < 0x20) return fail("a control character in a string has to be written with a backslash");
      if (c == '\\') {
        escape();
        if (error_) return;
        continue;
      }
      const std::size_t length = utf8_length(text_.substr(at_));
      if (length == 0) return fail("this is not UTF-8");
      at_ += length;
    }
    ++at_;
  }

  void escape() {
    const std::size_t begin = at_;
    ++at_;
    const int c = peek();
    if (c != 'u') {
      if (c == end_of_text || std::string_view{"\"\\/bfnrt"}.find(static_cast<char>(c)) == std::string_view::npos) {
        return fail_at(begin, "there is no such escape");
      }
      ++at_;
      return;
    }
    const auto unit = utf16_unit();
    if (!unit) return fail_at(begin, "expected four hexadecimal digits after '\\u'");
    if (*unit < 0xD800 || *unit > 0xDFFF) return;
    if (*unit < 0xDC00 && text_.substr(at_, 2) == "\\u") {
      ++at_;
      const auto low = utf16_unit();
      if (low && *low >= 0xDC00 && *low <= 0xDFFF) return;
    }
    fail_at(begin, "half of a pair of escapes");
  }

  /// At the 'u' of an escape.
  std::optional<unsigned> utf16_unit() {
    constexpr std::size_t digits = 4;
    ++at_;
    const std::string_view hex = text_.substr(at_, digits);
    unsigned unit = 0;
    const auto [end, problem] = std::from_chars(hex.data(), hex.data() + hex.size(), unit, 16);
    if (hex.size() != digits || problem != std::errc{} || end != hex.data() + digits) return std::nullopt;
    at_ += digits;
    return unit;
  }

  void number() {
    const std::size_t begin = at_;
    if (peek() == '-') ++at_;
    const bool below_one = peek() == '0';
    if (below_one && at_ + 1 < text_.size() && is_digit(text_[at_ + 1])) {
      return fail_at(begin, "a number does not start with 0");
    }
    if (!digits()) return;
    if (peek() == '.') {
      ++at_;
      if (!digits()) return;
    }
    bool small = below_one;
    if (peek() == 'e' || peek() == 'E') {
      ++at_;
      small = small || peek() == '-';
      if (peek() == '-' || peek() == '+') ++at_;
      if (!digits()) return;
    }
    double number = 0;
    const auto read = std::from_chars(text_.data() + begin, text_.data() + at_, number);
    // One that is too close to zero to tell is zero.
    if (read.ec == std::errc::result_out_of_range && !small) fail_at(begin, "the number is too large");
  }

  bool digits() {
    const std::size_t begin = at_;
    while (is_digit(peek())) ++at_;
    if (at_ == begin) fail("expected a digit");
    return at_ != begin;
  }

  [[nodiscard]] int peek() const { return at_ < text_.size() ? static_cast<unsigned char>(text_[at_]) : end_of_text; }

  void skip_space() {
    while (peek() == ' ' || peek() == '\t' || peek() == '\n' || peek() == '\r') ++at_;
  }

  void fail(std::string_view problem) {
    fail_at(at_, peek() == end_of_text ? fmt::format("{}, but the text ends", problem) : std::string{problem});
  }
  void fail_at(std::size_t offset, std::string problem) { error_ = SyntaxError{offset, std::move(problem)}; }

  std::string_view text_;
  std::size_t at_ = 0;
  std::vector<char> open_;
  Expected expected_ = Expected::Value;
  bool done_ = false;
  std::optional<SyntaxError> error_;
};

}  // namespace

std::optional<SyntaxError> find_syntax_error(std::string_view text) { return Scanner{text}.scan(); }

std::string describe_position(std::string_view text, std::size_t offset) {
  const std::string_view before = text.substr(0, offset);
  const auto lines = std::count(before.begin(), before.end(), '\n');
  const std::string_view line = before.substr(before.rfind('\n') + 1);  // npos + 1 is the text's start
  const auto starts_character = [](char byte) { return (static_cast<unsigned char>(byte) & 0xC0) != 0x80; };
  return fmt::format("line {}, column {}", lines + 1, std::count_if(line.begin(), line.end(), starts_character) + 1);
}

}  // namespace fireclaw::json
