#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace fake {

struct Member;

/// A JSON value that remembers in which column it ended, since Firecracker's complaints name it.
struct Json {
  enum class Kind { Null, Bool, Number, String, Array, Object };

  Kind kind = Kind::Null;
  bool boolean = false;
  std::int64_t number = 0;
  /// A string's content, or a number as it was written.
  std::string text;
  std::vector<Json> items;
  std::vector<Member> members;
  /// Characters up to and including its last.
  std::size_t end = 0;

  static Json object();
  static Json array();
  static Json of(std::string_view text);
  static Json of(const char* text) { return of(std::string_view{text}); }
  static Json of(bool flag);
  static Json of(std::int64_t number);

  [[nodiscard]] const Json* find(std::string_view name) const;
  /// Adds a member or replaces it. Returns the object.
  Json& set(std::string_view name, Json value);
  [[nodiscard]] std::string serialize() const;
};

struct Member {
  std::string name;
  std::size_t name_end = 0;
  Json value;
};

/// What is wrong with a document, in the words of Firecracker's parser, position included.
struct JsonError {
  std::string message;
};
Json parse_json(std::string_view text);

std::string at_column(std::string_view message, std::size_t column);

}  // namespace fake
