#include "schema.hpp"

#include <utility>

namespace fireclaw::mcp {
namespace {

Json typed(const char* type, std::string description) {
  return {{"type", type}, {"description", std::move(description)}};
}

}  // namespace

Json text_schema(std::string description) { return typed("string", std::move(description)); }

Json whole_schema(std::string description, std::int64_t least, std::int64_t most) {
  auto schema = integer_schema(std::move(description));
  schema["minimum"] = least;
  schema["maximum"] = most;
  return schema;
}

Json number_schema(std::string description) { return typed("number", std::move(description)); }

Json integer_schema(std::string description) { return typed("integer", std::move(description)); }

Json flag_schema(std::string description) { return typed("boolean", std::move(description)); }

Json list_schema(std::string description, Json of) {
  auto schema = typed("array", std::move(description));
  schema["items"] = std::move(of);
  return schema;
}

Json object_schema(Json properties, std::vector<std::string> required) {
  Json schema{{"type", "object"}, {"properties", std::move(properties)}};
  if (!required.empty()) schema["required"] = std::move(required);
  schema["additionalProperties"] = false;
  return schema;
}

Json object_schema(Json properties) {
  std::vector<std::string> all;
  for (const auto& property : properties.items()) all.push_back(property.key());
  return object_schema(std::move(properties), std::move(all));
}

Json texts_schema(std::string description) {
  auto schema = typed("object", std::move(description));
  // Some models' servers refuse an object without.
  schema["properties"] = Json::object();
  schema["additionalProperties"] = {{"type", "string"}};
  return schema;
}

Json members_in(const Json& schema, const Json& object) {
  Json members = Json::object();
  for (const auto& property : schema["properties"].items()) members[property.key()] = object.at(property.key());
  return members;
}

Json as_shown(Json schema) {
  if (!schema.is_object()) return schema;
  schema.erase("additionalProperties");
  if (const auto items = schema.find("items"); items != schema.end()) *items = as_shown(std::move(*items));
  if (const auto members = schema.find("properties"); members != schema.end()) {
    for (auto& member : *members) member = as_shown(std::move(member));
  }
  return schema;
}

}  // namespace fireclaw::mcp
