#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace fireclaw::json {

/// Where a text stops being JSON.
struct SyntaxError {
  /// In bytes; the text's size if it ends too early.
  std::size_t offset;
  /// What would have had to stand there, or what is wrong with what does.
  std::string problem;
};

/// The first error in `text`; nullopt if it has none. simdjson, which is what documents are read with, is quick because
/// it does not keep track of where it is; this is for the one text in a million that it has refused.
std::optional<SyntaxError> find_syntax_error(std::string_view text);

/// "line 3, column 7", both counted from one, columns in characters.
std::string describe_position(std::string_view text, std::size_t offset);

}  // namespace fireclaw::json
