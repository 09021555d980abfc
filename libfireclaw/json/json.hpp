#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fireclaw::json {

/// A parsed JSON value that knows where it stands, so that an error can name the field: "drives[1].path: expected a
/// string". Copies are cheap (shared). Reading a value as the wrong type throws Error(Corrupt) with that path.
class Value {
 public:
  enum class Type { Null, Bool, Number, String, Array, Object };

  /// Parses one document, nested at most 128 deep. `name` (a file's path, "config.json", "QMP reply") starts every
  /// error's text. Integers beyond 64 bits are read as doubles.
  static Value parse(std::string_view text, std::string_view name);
  static Value parse_file(const std::filesystem::path& path);

  [[nodiscard]] Type type() const;
  [[nodiscard]] bool is_null() const { return type() == Type::Null; }
  [[nodiscard]] bool is_object() const { return type() == Type::Object; }
  [[nodiscard]] bool is_string() const { return type() == Type::String; }
  /// A number without fraction or exponent, of at most 64 bits.
  [[nodiscard]] bool is_integer() const;

  [[nodiscard]] bool as_bool() const;
  [[nodiscard]] std::int64_t as_int() const;
  [[nodiscard]] std::uint64_t as_uint() const;
  [[nodiscard]] double as_double() const;
  [[nodiscard]] const std::string& as_string() const;
  [[nodiscard]] const std::vector<Value>& as_array() const;
  /// Keys in file order are not kept; duplicate keys are refused by parse().
  [[nodiscard]] const std::map<std::string, Value, std::less<>>& as_object() const;

  /// A member that must be there.
  [[nodiscard]] Value at(std::string_view key) const;
  /// A member that may be missing (or null: then nullopt too).
  [[nodiscard]] std::optional<Value> find(std::string_view key) const;
  /// Throws Error(Corrupt) naming the first key that is not in `allowed`.
  void only(std::initializer_list<std::string_view> allowed) const;
  /// Equal content, wherever they stand.
  bool operator==(const Value& other) const;
  /// Where it stands: "config.json: engines[0].name".
  [[nodiscard]] std::string where() const;
  /// Error(Corrupt) "<where>: <problem>", for validation beyond types.
  [[noreturn]] void fail(std::string_view problem) const;

 private:
  struct Node;
  struct Path;
  explicit Value(std::shared_ptr<const Node> node) : node_{std::move(node)} {}
  std::shared_ptr<const Node> node_;
  friend struct Builder;
};

/// The members of the object `text` whose names `wanted` picks. Nothing else is kept, so the memory and time that it
/// takes are a small multiple of the text's length, whatever is in it. Of the other members only strings, brackets and
/// UTF-8 are checked. Error(Corrupt) if `text` is not one object, or if a wanted member is not a string or comes twice.
std::map<std::string, std::string> pick_strings(std::string_view text, std::string_view name,
                                                const std::function<bool(std::string_view)>& wanted);

/// Writes JSON text piece by piece. Misuse (a value without its key, unbalanced ends) throws Error(Internal).
/// Strings are escaped; bytes that are not UTF-8 become U+FFFD.
class Writer {
 public:
  enum class Style { Compact, Pretty };
  explicit Writer(Style style = Style::Compact) : style_{style} {}

  Writer& begin_object();
  Writer& end_object();
  Writer& begin_array();
  Writer& end_array();
  Writer& key(std::string_view name);
  Writer& value(std::string_view text);
  Writer& value(const char* text) { return value(std::string_view{text}); }
  Writer& value(bool flag);
  Writer& value(std::int64_t number);
  Writer& value(std::uint64_t number);
  Writer& value(int number) { return value(static_cast<std::int64_t>(number)); }
  Writer& value(unsigned number) { return value(static_cast<std::uint64_t>(number)); }
  /// Finite numbers only; the shortest text that reads back the same, and as a number with a fraction: 5 is "5.0".
  Writer& value(double number);
  Writer& null();
  /// A value that was read, with all in it. The members of objects come in alphabetical order.
  Writer& value(const Value& content);
  /// key + value.
  template <typename T>
  Writer& field(std::string_view name, T&& content) {
    key(name);
    return value(std::forward<T>(content));
  }
  /// The finished text; Pretty ends with a newline. The writer starts again.
  std::string take();

 private:
  Writer& begin(bool object);
  Writer& end(bool object);
  void before_value();
  Writer& after_value();
  void newline();
  struct Level {
    bool object;
    bool empty = true;
    bool key_written = false;
  };
  Style style_;
  std::string text_;
  std::vector<Level> levels_;
  bool done_ = false;
};

}  // namespace fireclaw::json
