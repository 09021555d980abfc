#include "json.hpp"

#include <fmt/format.h>

#include "fireclaw/error.hpp"

namespace fireclaw::mcp {

Json parse_json(std::string_view text) {
  const auto limit_depth = [](int depth, Json::parse_event_t, Json&) {
    if (depth > most_nesting) {
      throw Error{ErrorCode::InvalidArgument, fmt::format("it is nested deeper than {} levels", most_nesting)};
    }
    return true;
  };
  try {
    return Json::parse(text, limit_depth);
  } catch (const Json::parse_error& problem) {
    throw Error{ErrorCode::InvalidArgument, fmt::format("no JSON at byte {}", problem.byte)};
  }
}

std::string to_line(const Json& value) { return value.dump(-1, ' ', false, Json::error_handler_t::replace); }

}  // namespace fireclaw::mcp
