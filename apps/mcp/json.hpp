#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace fireclaw::mcp {

/// Members stay in the order they are written in.
using Json = nlohmann::ordered_json;

/// The deepest nesting of a client's message: no message of this protocol has more, and code that walks values would
/// run out of stack.
inline constexpr int most_nesting = 64;
/// The most values and names in it: each takes far more memory than its two bytes on a line, and the members of an
/// object are searched one by one.
inline constexpr std::size_t most_values = 10'000;

/// Error(InvalidArgument) for what is not JSON, nested too deep or of too many values.
Json parse_json(std::string_view text);
/// Whether it is a number without a fraction, however that is written: some clients know no other numbers than 1.0.
bool is_whole(const Json& value);
/// On one line, without its end. Bytes that are not UTF-8 become U+FFFD. Characters beyond ASCII that some readers take
/// for the end of a line (U+0085, U+2028, U+2029) are escaped.
std::string to_line(const Json& value);

}  // namespace fireclaw::mcp
