// What fuzzers say when something does not hold.
#pragma once

#include <cstdlib>
#include <iostream>
#include <string_view>

namespace fireclaw::fuzz {

inline void require(bool holds, std::string_view what) {
  if (holds) return;
  std::cerr << "violated: " << what << "\n";
  std::abort();
}

}  // namespace fireclaw::fuzz
