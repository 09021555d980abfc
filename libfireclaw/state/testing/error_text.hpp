#pragma once

#include <string>

#include "fireclaw/error.hpp"

namespace fireclaw::state::testing {

/// The Error that `call` throws, as "code: text"; "no error" if it throws none.
inline std::string error_text(const auto& call) {
  try {
    call();
  } catch (const Error& error) {
    return std::string{to_string(error.code())} + ": " + error.what();
  }
  return "no error";
}

}  // namespace fireclaw::state::testing
