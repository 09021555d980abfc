#include "schema_check.hpp"

#include <algorithm>
#include <cstddef>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "fireclaw/error.hpp"

namespace fireclaw::mcp {
namespace {

bool has_type(const Json& value, const std::string& type) {
  if (type == "object") return value.is_object();
  if (type == "array") return value.is_array();
  if (type == "string") return value.is_string();
  if (type == "integer") return is_whole(value);
  if (type == "number") return value.is_number();
  return type == "boolean" && value.is_boolean();
}

std::string words_for(const std::string& type) {
  if (type == "object") return "an object";
  if (type == "array") return "a list";
  if (type == "string") return "a text";
  if (type == "integer") return "a whole number";
  if (type == "number") return "a number";
  return "true or false";
}

/// UTF-8 as JSON has it: what is not a continuation byte begins a character.
std::size_t characters(const std::string& text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

class Check {
 public:
  Check(const Json& schema, const Json& value, std::string where)
      : schema_{schema}, value_{value}, where_{std::move(where)} {}

  void run() const {
    const auto type = schema_.value("type", std::string{});
    require(type.empty() || has_type(value_, type), [&] { return fmt::format("must be {}", words_for(type)); });
    if (const auto choices = schema_.find("enum"); choices != schema_.end()) {
      require(std::ranges::find(*choices, value_) != choices->end(),
              [&] { return fmt::format("must be one of {}", to_line(*choices)); });
    }
    if (value_.is_number()) check_range("minimum", "maximum", value_.get<double>(), "");
    if (value_.is_string()) {
      check_range("minLength", "maxLength", static_cast<double>(characters(value_.get_ref<const std::string&>())),
                  " characters");
    }
    if (value_.is_array()) check_items();
    if (value_.is_object()) check_members();
  }

 private:
  template <typename Words>
  void require(bool holds, Words words) const {
    if (holds) return;
    throw Error{ErrorCode::InvalidArgument,
                where_.empty() ? fmt::format("arguments {}", words()) : fmt::format("'{}' {}", where_, words())};
  }

  void check_range(const char* least, const char* most, double amount, const char* unit) const {
    if (const auto limit = schema_.find(least); limit != schema_.end()) {
      require(amount >= limit->get<double>(),
              [&] { return fmt::format("must be at least {}{}", to_line(*limit), unit); });
    }
    if (const auto limit = schema_.find(most); limit != schema_.end()) {
      require(amount <= limit->get<double>(),
              [&] { return fmt::format("must be at most {}{}", to_line(*limit), unit); });
    }
  }

  void check_items() const {
    check_range("minItems", "maxItems", static_cast<double>(value_.size()), " long");
    const auto items = schema_.find("items");
    if (items == schema_.end()) return;
    for (std::size_t i = 0; i < value_.size(); ++i) Check{*items, value_[i], fmt::format("{}[{}]", where_, i)}.run();
  }

  void check_members() const {
    static const Json none = Json::object();
    const auto declared = schema_.find("properties");
    const auto& properties = declared == schema_.end() ? none : *declared;
    for (const auto& name : schema_.value("required", Json::array())) {
      require(value_.contains(name.get<std::string>()),
              [&] { return fmt::format("must have '{}'", name.get<std::string>()); });
    }
    const auto others = schema_.find("additionalProperties");
    for (const auto& item : value_.items()) {
      const std::string& name = item.key();
      const Json& member = item.value();
      const auto where = where_.empty() ? name : where_ + "." + name;
      if (const auto known = properties.find(name); known != properties.end()) {
        Check{*known, member, where}.run();
      } else if (others != schema_.end() && others->is_object()) {
        Check{*others, member, where}.run();
      } else {
        require(others == schema_.end() || *others != false, [&] { return fmt::format("must not have '{}'", name); });
      }
    }
  }

  const Json& schema_;
  const Json& value_;
  std::string where_;
};

bool holds_nul(const Json& value) {
  if (value.is_string()) return value.get_ref<const std::string&>().find('\0') != std::string::npos;
  if (!value.is_structured()) return false;
  for (const auto& [name, member] : value.items()) {
    if (name.find('\0') != std::string::npos || holds_nul(member)) return true;
  }
  return false;
}

}  // namespace

void check_against(const Json& schema, const Json& value) { Check{schema, value, {}}.run(); }

void refuse_nul(const Json& arguments, std::string_view except) {
  for (const auto& [name, value] : arguments.items()) {
    if (name == except) continue;
    if (holds_nul(value)) throw Error{ErrorCode::InvalidArgument, fmt::format("'{}' must not hold a NUL", name)};
  }
}

}  // namespace fireclaw::mcp
