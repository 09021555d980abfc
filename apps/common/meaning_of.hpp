#pragma once

#include <string>
#include <string_view>

#include <fmt/format.h>

#include "fireclaw/fields.hpp"

namespace fireclaw::cli {

/// A member's description as the text of an option: "Virtual CPUs, 1 to 32".
template <class T>
std::string meaning_of(std::string_view member) {
  const auto& about = description_of<T>(member);
  const auto meaning = about.meaning.substr(0, about.meaning.size() - 1);
  return about.least <= about.most ? fmt::format("{}, {} to {}", meaning, about.least, about.most)
                                   : std::string{meaning};
}

}  // namespace fireclaw::cli
