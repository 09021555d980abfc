#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "json.hpp"

namespace fireclaw::mcp {

/// Holds `value` against a JSON Schema, of which it knows what this program's own schemas use: type, enum, properties,
/// required, additionalProperties, items, minimum, maximum, minLength, maxLength, minItems, maxItems.
/// Error(InvalidArgument) that names the member. Numbers without a fraction are whole, however they are written.
void check_against(const Json& schema, const Json& value);

/// Error(InvalidArgument) if a text in `arguments`, that of the member `except` aside, holds a NUL: a program's
/// arguments, and names of files, end there.
void refuse_nul(const Json& arguments, std::string_view except);

/// Pieces of schemas.
Json text_schema(std::string description);
Json whole_schema(std::string description, std::int64_t least, std::int64_t most);
Json number_schema(std::string description);
Json integer_schema(std::string description);
Json flag_schema(std::string description);
Json list_schema(std::string description, Json of);
/// An object with these members and no others.
Json object_schema(Json properties, std::vector<std::string> required);
/// The same, and all of them are required.
Json object_schema(Json properties);
/// An object whose members have any names, and texts as values.
Json texts_schema(std::string description);

/// The object's members that the schema names, in the schema's order.
Json members_in(const Json& schema, const Json& object);

/// A schema as clients are shown it: without "additionalProperties", which some of them and some models' servers
/// refuse.
Json as_shown(Json schema);

}  // namespace fireclaw::mcp
