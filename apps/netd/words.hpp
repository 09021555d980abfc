#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

#include "base/number.hpp"

namespace fireclaw::netd {

/// The argument `whole` is not what it should be. std::invalid_argument, "not WHAT: WHOLE".
[[noreturn]] inline void refuse(const char* what, const std::string& whole) {
  throw std::invalid_argument{std::string{"not "} + what + ": " + whole};
}

/// The number that `text`, a part of the argument `whole`, is. Refuses anything else.
template <class Number>
Number number_in(std::string_view text, const char* what, const std::string& whole, Number least = 0) {
  const auto number = parse_number<Number>(text);
  if (!number || *number < least) refuse(what, whole);
  return *number;
}

}  // namespace fireclaw::netd
