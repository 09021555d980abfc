#include <array>
#include <charconv>
#include <cmath>

#include "base/text.hpp"
#include "fireclaw/error.hpp"
#include "json/json.hpp"

namespace fireclaw::json {
namespace {

constexpr std::string_view replacement_character = "\xEF\xBF\xBD";

[[noreturn]] void misuse(std::string_view what) {
  throw Error{ErrorCode::Internal, "JSON writer: " + std::string{what}};
}

void append_escaped(std::string& out, char c) {
  constexpr std::string_view digits = "0123456789abcdef";
  switch (c) {
    case '"': out += "\\\""; return;
    case '\\': out += "\\\\"; return;
    case '\b': out += "\\b"; return;
    case '\f': out += "\\f"; return;
    case '\n': out += "\\n"; return;
    case '\r': out += "\\r"; return;
    case '\t': out += "\\t"; return;
  }
  const auto code = static_cast<unsigned char>(c);
  if (code < 0x20) {
    out += "\\u00";
    out += digits[code >> 4];
    out += digits[code & 0xf];
  } else {
    out += c;
  }
}

void append_string(std::string& out, std::string_view text) {
  out += '"';
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    if (length == 0) {
      out += replacement_character;
      text.remove_prefix(1);
    } else if (length == 1) {
      append_escaped(out, text.front());
      text.remove_prefix(1);
    } else {
      out += text.substr(0, length);
      text.remove_prefix(length);
    }
  }
  out += '"';
}

template <typename Number>
std::string_view print(std::array<char, 32>& buffer, Number number) {
  const auto result = std::to_chars(buffer.data(), buffer.data() + buffer.size(), number);
  return {buffer.data(), static_cast<std::size_t>(result.ptr - buffer.data())};
}

}  // namespace

void Writer::newline() {
  if (style_ == Style::Compact) return;
  text_ += '\n';
  text_.append(2 * levels_.size(), ' ');
}

void Writer::before_value() {
  if (done_) misuse("a value after the document's end");
  if (levels_.empty()) return;
  Level& level = levels_.back();
  if (level.object) {
    if (!level.key_written) misuse("a value without a key in an object");
    level.key_written = false;
    return;
  }
  if (!level.empty) text_ += ',';
  level.empty = false;
  newline();
}

Writer& Writer::key(std::string_view name) {
  if (levels_.empty() || !levels_.back().object) misuse("a key outside of an object");
  Level& level = levels_.back();
  if (level.key_written) misuse("a key after a key");
  if (!level.empty) text_ += ',';
  level.empty = false;
  level.key_written = true;
  newline();
  append_string(text_, name);
  text_ += style_ == Style::Pretty ? ": " : ":";
  return *this;
}

Writer& Writer::begin(bool object) {
  before_value();
  text_ += object ? '{' : '[';
  levels_.push_back(Level{.object = object});
  return *this;
}

Writer& Writer::end(bool object) {
  if (levels_.empty() || levels_.back().object != object) misuse("an end that fits no begin");
  if (levels_.back().key_written) misuse("an object's end after a key");
  const bool empty = levels_.back().empty;
  levels_.pop_back();
  if (!empty) newline();
  text_ += object ? '}' : ']';
  return after_value();
}

Writer& Writer::begin_object() { return begin(true); }
Writer& Writer::end_object() { return end(true); }
Writer& Writer::begin_array() { return begin(false); }
Writer& Writer::end_array() { return end(false); }

Writer& Writer::after_value() {
  done_ = levels_.empty();
  return *this;
}

Writer& Writer::value(std::string_view text) {
  before_value();
  append_string(text_, text);
  return after_value();
}

Writer& Writer::value(bool flag) {
  before_value();
  text_ += flag ? "true" : "false";
  return after_value();
}

Writer& Writer::value(std::int64_t number) {
  before_value();
  std::array<char, 32> buffer;
  text_ += print(buffer, number);
  return after_value();
}

Writer& Writer::value(std::uint64_t number) {
  before_value();
  std::array<char, 32> buffer;
  text_ += print(buffer, number);
  return after_value();
}

Writer& Writer::value(double number) {
  if (!std::isfinite(number)) misuse("a number that is not finite");
  before_value();
  std::array<char, 32> buffer;
  const std::string_view printed = print(buffer, number);
  text_ += printed;
  // Without a mark it would read back as an integer, and a large one as an integer that fits nowhere.
  if (printed.find_first_of(".e") == std::string_view::npos) text_ += ".0";
  return after_value();
}

Writer& Writer::null() {
  before_value();
  text_ += "null";
  return after_value();
}

Writer& Writer::value(const Value& content) {
  switch (content.type()) {
    case Value::Type::Null: return null();
    case Value::Type::Bool: return value(content.as_bool());
    case Value::Type::String: return value(std::string_view{content.as_string()});
    case Value::Type::Number:
      if (!content.is_integer()) return value(content.as_double());
      if (content.as_double() < 0) return value(content.as_int());
      return value(content.as_uint());
    case Value::Type::Array:
      begin_array();
      for (const auto& item : content.as_array()) value(item);
      return end_array();
    case Value::Type::Object:
      begin_object();
      for (const auto& [name, member] : content.as_object()) key(name).value(member);
      return end_object();
  }
  throw Error{ErrorCode::Internal, "unknown type of a JSON value"};
}

std::string Writer::take() {
  if (!done_) misuse("taken before the document's end");
  if (style_ == Style::Pretty) text_ += '\n';
  done_ = false;
  return std::exchange(text_, {});
}

}  // namespace fireclaw::json
