// Whatever parses can be written and parses again to the same; whatever is written parses.
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/text.hpp"
#include "fireclaw/error.hpp"
#include "fuzz/require.hpp"
#include "json/json.hpp"

namespace {

using fireclaw::Error;
using fireclaw::fuzz::require;
using fireclaw::json::Value;
using fireclaw::json::Writer;

// An integer is read as such; what does not fit is a double.
template <typename Read>
bool reads(Read read) {
  try {
    static_cast<void>(read());
    return true;
  } catch (const Error&) {
    return false;
  }
}

void write(Writer& writer, const Value& value) {
  switch (value.type()) {
    case Value::Type::Null: writer.null(); return;
    case Value::Type::Bool: writer.value(value.as_bool()); return;
    case Value::Type::Number:
      if (reads([&] { return value.as_int(); })) {
        writer.value(value.as_int());
      } else if (reads([&] { return value.as_uint(); })) {
        writer.value(value.as_uint());
      } else {
        writer.value(value.as_double());
      }
      return;
    case Value::Type::String: writer.value(value.as_string()); return;
    case Value::Type::Array:
      writer.begin_array();
      for (const Value& item : value.as_array()) write(writer, item);
      writer.end_array();
      return;
    case Value::Type::Object:
      writer.begin_object();
      for (const auto& [key, member] : value.as_object()) {
        writer.key(key);
        write(writer, member);
      }
      writer.end_object();
      return;
  }
}

bool same(const Value& a, const Value& b) {
  if (a.type() != b.type() || a.where() != b.where()) return false;
  switch (a.type()) {
    case Value::Type::Null: return true;
    case Value::Type::Bool: return a.as_bool() == b.as_bool();
    case Value::Type::Number:
      return a.as_double() == b.as_double() && reads([&] { return a.as_int(); }) == reads([&] { return b.as_int(); }) &&
             reads([&] { return a.as_uint(); }) == reads([&] { return b.as_uint(); }) &&
             (!reads([&] { return a.as_int(); }) || a.as_int() == b.as_int()) &&
             (!reads([&] { return a.as_uint(); }) || a.as_uint() == b.as_uint());
    case Value::Type::String: return a.as_string() == b.as_string();
    case Value::Type::Array: {
      if (a.as_array().size() != b.as_array().size()) return false;
      for (std::size_t i = 0; i < a.as_array().size(); ++i) {
        if (!same(a.as_array()[i], b.as_array()[i])) return false;
      }
      return true;
    }
    case Value::Type::Object: {
      if (a.as_object().size() != b.as_object().size()) return false;
      for (const auto& [key, member] : a.as_object()) {
        const auto other = b.as_object().find(key);
        if (other == b.as_object().end() || !same(member, other->second)) return false;
      }
      return true;
    }
  }
  return false;
}

void read_then_write(std::string_view text) {
  std::optional<Value> value;
  try {
    value = Value::parse(text, "input");
  } catch (const Error& error) {
    require(error.code() == fireclaw::ErrorCode::Corrupt, "a document is refused as corrupt and nothing else");
    require(std::string_view{error.what()}.starts_with("input: "), "a refusal names the document");
    return;
  }
  for (const Writer::Style style : {Writer::Style::Compact, Writer::Style::Pretty}) {
    Writer writer{style};
    write(writer, *value);
    require(same(*value, Value::parse(writer.take(), "input")), "what was written reads back the same");
  }
}

// What the writer promises to make of bytes that are not UTF-8.
std::string repaired(std::string_view text) {
  std::string result;
  while (!text.empty()) {
    const std::size_t length = fireclaw::utf8_length(text);
    result += length == 0 ? std::string_view{"\xEF\xBF\xBD"} : text.substr(0, length);
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return result;
}

void write_then_read(std::string_view text) {
  Writer writer;
  writer.begin_object().field(text, text).end_object();
  const Value value = Value::parse(writer.take(), "output");
  const auto& [key, member] = *value.as_object().begin();
  require(key == repaired(text), "any bytes can be a key");
  require(member.as_string() == repaired(text), "any bytes can be a string");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  read_then_write(text);
  write_then_read(text);
  return 0;
}
