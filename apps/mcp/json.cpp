#include "json.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

#include <fmt/format.h>

#include "fireclaw/error.hpp"

namespace fireclaw::mcp {

Json parse_json(std::string_view text) {
  std::size_t values = 0;
  const auto limit = [&](int depth, Json::parse_event_t, Json&) {
    if (depth > most_nesting) {
      throw Error{ErrorCode::InvalidArgument, fmt::format("it is nested deeper than {} levels", most_nesting)};
    }
    if (++values > most_values) {
      throw Error{ErrorCode::InvalidArgument, fmt::format("it holds more than {} values", most_values)};
    }
    return true;
  };
  try {
    return Json::parse(text, limit);
  } catch (const Json::parse_error& problem) {
    throw Error{ErrorCode::InvalidArgument, fmt::format("no JSON at byte {}", problem.byte)};
  }
}

std::string to_line(const Json& value) {
  const auto line = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  // They occur only in texts, where an escape means the same.
  constexpr std::pair<std::string_view, std::string_view> ends[] = {
      {"\u0085", "\\u0085"}, {"\u2028", "\\u2028"}, {"\u2029", "\\u2029"}};
  std::string escaped;
  escaped.reserve(line.size());
  std::string_view rest = line;
  while (!rest.empty()) {
    // All of them begin with one of these bytes.
    const auto plain = rest.substr(0, rest.find_first_of("\xC2\xE2"));
    escaped += plain;
    rest.remove_prefix(plain.size());
    const auto* const end = std::ranges::find_if(ends, [&](const auto& one) { return rest.starts_with(one.first); });
    const auto length = end == std::end(ends) ? std::min<std::size_t>(rest.size(), 1) : end->first.size();
    escaped += end == std::end(ends) ? rest.substr(0, length) : end->second;
    rest.remove_prefix(length);
  }
  return escaped;
}

}  // namespace fireclaw::mcp
