#pragma once

#include <charconv>
#include <optional>
#include <string_view>
#include <system_error>

namespace fireclaw {

/// The number that `text` is. nullopt if `text` has anything else in it, even a plus, or if the number does not fit the
/// type.
template <class Number>
std::optional<Number> parse_number(std::string_view text, int base = 10) {
  Number number{};
  const char* const last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, number, base);
  if (error != std::errc{} || end != last) return std::nullopt;
  return number;
}

}  // namespace fireclaw
