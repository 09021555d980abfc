#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

#include "base/number.hpp"

namespace fireclaw::netd {

/// The number that `text`, a part of the argument `whole`, is. std::invalid_argument ("not WHAT: WHOLE") for anything
/// else.
template <class Number>
Number number_in(std::string_view text, const char* what, const std::string& whole, Number least = 0) {
  const auto number = parse_number<Number>(text);
  if (!number || *number < least) throw std::invalid_argument{std::string{"not "} + what + ": " + whole};
  return *number;
}

}  // namespace fireclaw::netd
