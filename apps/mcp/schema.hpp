#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "json.hpp"

namespace fireclaw::mcp {

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
