#include "json.hpp"

#include <cmath>

#include <fmt/format.h>

#include "common/text/text.hpp"
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

bool is_whole(const Json& value) {
  if (value.is_number_integer()) return true;
  return value.is_number_float() && std::trunc(value.get<double>()) == value.get<double>();
}

std::string to_line(const Json& value) {
  return cli::escape_controls(value.dump(-1, ' ', false, Json::error_handler_t::replace));
}

}  // namespace fireclaw::mcp
