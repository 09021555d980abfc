#include "state/settings/secret_fields.hpp"

#include <algorithm>
#include <array>

namespace fireclaw::state {
namespace {

/// What config.json, templates and overseer.json call them. A login without its password is refused, so it goes as a
/// whole.
constexpr std::array<std::string_view, 6> secret_fields{"api_key", "channel_key", "password",
                                                        "sasl",    "sasl_user",   "sasl_password"};

void write(json::Writer& out, const json::Value& value, const std::string& place, std::vector<std::string>& left_out) {
  if (value.type() == json::Value::Type::Object) {
    out.begin_object();
    for (const auto& [name, member] : value.as_object()) {
      auto inside = place.empty() ? name : place + "." + name;
      if (std::ranges::find(secret_fields, name) != secret_fields.end()) {
        left_out.push_back(std::move(inside));
        continue;
      }
      out.key(name);
      write(out, member, inside, left_out);
    }
    out.end_object();
  } else if (value.type() == json::Value::Type::Array) {
    out.begin_array();
    for (const auto& item : value.as_array()) write(out, item, place, left_out);
    out.end_array();
  } else {
    out.value(value);
  }
}

}  // namespace

std::string without_secrets(const json::Value& value, std::string text, std::vector<std::string>& left_out) {
  const auto before = left_out.size();
  json::Writer out{json::Writer::Style::Pretty};
  write(out, value, {}, left_out);
  return left_out.size() == before ? std::move(text) : out.take();
}

}  // namespace fireclaw::state
