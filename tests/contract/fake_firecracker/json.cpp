#include "json.hpp"

#include <fmt/format.h>

#include <charconv>

namespace fake {

namespace {

constexpr int deepest = 64;

class Parser {
 public:
  explicit Parser(std::string_view text) : text_{text} {}

  Json document() {
    Json value = parse_value(0);
    skip_space();
    if (at_ < text_.size()) fail("trailing characters", at_ + 1);
    return value;
  }

 private:
  [[noreturn]] static void fail(std::string_view message, std::size_t column) {
    throw JsonError{at_column(message, column)};
  }
  [[nodiscard]] bool done() const { return at_ >= text_.size(); }
  void skip_space() {
    while (!done() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t' || text_[at_] == '\r')) ++at_;
  }
  bool take(char c) {
    skip_space();
    if (done() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  Json parse_value(int depth) {
    skip_space();
    if (done()) fail("EOF while parsing a value", at_);
    if (depth > deepest) fail("recursion limit exceeded", at_ + 1);
    Json value;
    const char c = text_[at_];
    if (c == '{') {
      value = parse_object(depth);
    } else if (c == '[') {
      value = parse_array(depth);
    } else if (c == '"') {
      value = Json::of(parse_string());
    } else if (c == '-' || (c >= '0' && c <= '9')) {
      value = parse_number();
    } else if (take_word("true")) {
      value = Json::of(true);
    } else if (take_word("false")) {
      value = Json::of(false);
    } else if (!take_word("null")) {
      fail("expected value", at_ + 1);
    }
    value.end = at_;
    return value;
  }

  bool take_word(std::string_view word) {
    if (text_.substr(at_, word.size()) != word) return false;
    at_ += word.size();
    return true;
  }

  Json parse_object(int depth) {
    ++at_;
    Json object = Json::object();
    if (take('}')) return object;
    for (;;) {
      skip_space();
      if (done()) fail("EOF while parsing an object", at_);
      if (text_[at_] != '"') fail("key must be a string", at_ + 1);
      Member member;
      member.name = parse_string();
      member.name_end = at_;
      if (!take(':')) fail("expected `:`", at_ + 1);
      member.value = parse_value(depth + 1);
      object.members.push_back(std::move(member));
      if (take('}')) return object;
      if (!take(',')) fail("expected `,` or `}`", at_ + 1);
    }
  }

  Json parse_array(int depth) {
    ++at_;
    Json array = Json::array();
    if (take(']')) return array;
    for (;;) {
      array.items.push_back(parse_value(depth + 1));
      if (take(']')) return array;
      if (!take(',')) fail("expected `,` or `]`", at_ + 1);
    }
  }

  std::string parse_string() {
    ++at_;
    std::string result;
    for (;;) {
      if (done()) fail("EOF while parsing a string", at_);
      const char c = text_[at_++];
      if (c == '"') return result;
      if (static_cast<unsigned char>(c) < 0x20) fail("control character found while parsing a string", at_);
      if (c != '\\') {
        result += c;
        continue;
      }
      if (done()) fail("EOF while parsing a string", at_);
      constexpr std::string_view names = "\"\\/bfnrt";
      constexpr std::string_view meanings = "\"\\/\b\f\n\r\t";
      const char escape = text_[at_++];
      if (const auto which = names.find(escape); which != std::string_view::npos) {
        result += meanings[which];
      } else if (escape == 'u') {
        append_escaped(result);
      } else {
        fail("invalid escape", at_);
      }
    }
  }

  /// Only what a writer of plain paths and words produces: control characters.
  void append_escaped(std::string& result) {
    unsigned code = 0;
    const auto digits = text_.substr(at_, 4);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), code, 16);
    if (error != std::errc{} || end != digits.data() + 4 || code >= 0x80) fail("invalid escape", at_);
    result += static_cast<char>(code);
    at_ += 4;
  }

  Json parse_number() {
    const std::size_t start = at_;
    while (!done() && std::string_view{"+-.eE0123456789"}.find(text_[at_]) != std::string_view::npos) ++at_;
    Json value;
    value.kind = Json::Kind::Number;
    value.text = text_.substr(start, at_ - start);
    const auto [end, error] = std::from_chars(value.text.data(), value.text.data() + value.text.size(), value.number);
    if (error != std::errc{} || end != value.text.data() + value.text.size()) fail("invalid number", at_);
    return value;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

std::string quoted(std::string_view text) {
  std::string result = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      result += '\\';
      result += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      result += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else {
      result += c;
    }
  }
  return result + '"';
}

}  // namespace

std::string at_column(std::string_view message, std::size_t column) {
  return fmt::format("{} at line 1 column {}", message, column);
}

Json Json::object() {
  Json value;
  value.kind = Kind::Object;
  return value;
}

Json Json::array() {
  Json value;
  value.kind = Kind::Array;
  return value;
}

Json Json::of(std::string_view text) {
  Json value;
  value.kind = Kind::String;
  value.text = text;
  return value;
}

Json Json::of(bool flag) {
  Json value;
  value.kind = Kind::Bool;
  value.boolean = flag;
  return value;
}

Json Json::of(std::int64_t number) {
  Json value;
  value.kind = Kind::Number;
  value.number = number;
  value.text = std::to_string(number);
  return value;
}

const Json* Json::find(std::string_view name) const {
  for (const Member& member : members) {
    if (member.name == name) return &member.value;
  }
  return nullptr;
}

Json& Json::set(std::string_view name, Json value) {
  for (Member& member : members) {
    if (member.name == name) {
      member.value = std::move(value);
      return *this;
    }
  }
  members.push_back({std::string{name}, 0, std::move(value)});
  return *this;
}

std::string Json::serialize() const {
  switch (kind) {
    case Kind::Null: return "null";
    case Kind::Bool: return boolean ? "true" : "false";
    case Kind::Number: return text;
    case Kind::String: return quoted(text);
    case Kind::Array: {
      std::string result = "[";
      for (const Json& item : items) result += (result.size() > 1 ? "," : "") + item.serialize();
      return result + ']';
    }
    case Kind::Object: {
      std::string result = "{";
      for (const Member& member : members) {
        result += (result.size() > 1 ? "," : "") + quoted(member.name) + ':' + member.value.serialize();
      }
      return result + '}';
    }
  }
  return {};
}

Json parse_json(std::string_view text) { return Parser{text}.document(); }

}  // namespace fake
