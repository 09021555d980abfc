#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace fireclaw::mcp {

/// Members stay in the order they are written in.
using Json = nlohmann::ordered_json;

/// How deep what a client sends may be nested: more is no message of this protocol, and code that walks values would
/// run out of stack.
inline constexpr int most_nesting = 64;

/// Error(InvalidArgument) for what is not JSON, or nested too deep.
Json parse_json(std::string_view text);
/// On one line, without its end. Bytes that are not UTF-8 become U+FFFD.
std::string to_line(const Json& value);

}  // namespace fireclaw::mcp
