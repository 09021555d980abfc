#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace fireclaw::mcp {

/// A line of the client's, without its end.
struct Line {
  std::string text;
  /// It was longer than allowed; its text is lost.
  bool too_long = false;

  bool operator==(const Line&) const = default;
};

/// Cuts a stream into lines, and keeps at most the allowed length of one. Empty lines are left out.
class LineReader {
 public:
  explicit LineReader(std::size_t longest) : longest_{longest} {}

  std::vector<Line> feed(std::string_view bytes);

 private:
  std::size_t longest_;
  Line line_;
};

}  // namespace fireclaw::mcp
