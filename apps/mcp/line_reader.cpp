#include "line_reader.hpp"

#include <utility>

namespace fireclaw::mcp {

std::vector<Line> LineReader::feed(std::string_view bytes) {
  std::vector<Line> lines;
  while (!bytes.empty()) {
    const auto end = bytes.find('\n');
    const auto piece = bytes.substr(0, end);
    if (line_.too_long || line_.text.size() + piece.size() > longest_) {
      line_ = {{}, true};
    } else {
      line_.text += piece;
    }
    if (end == std::string_view::npos) break;
    bytes.remove_prefix(end + 1);
    if (!line_.text.empty() && line_.text.back() == '\r') line_.text.pop_back();
    if (line_.too_long || !line_.text.empty()) lines.push_back(std::move(line_));
    line_ = {};
  }
  return lines;
}

}  // namespace fireclaw::mcp
