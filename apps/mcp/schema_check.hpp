#pragma once

#include <string_view>

#include "json.hpp"

namespace fireclaw::mcp {

/// Holds `value` against a JSON Schema, of which it knows what this program's own schemas use: type, enum, properties,
/// required, additionalProperties, items, minimum, maximum, minLength, maxLength, minItems, maxItems.
/// Error(InvalidArgument) that names the member. Numbers without a fraction are whole, however they are written.
void check_against(const Json& schema, const Json& value);

/// Error(InvalidArgument) if a text in `arguments`, that of the member `except` aside, holds a NUL: a program's
/// arguments, and names of files, end there.
void refuse_nul(const Json& arguments, std::string_view except);

}  // namespace fireclaw::mcp
