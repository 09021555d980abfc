#pragma once

#include <doctest/doctest.h>

#include <filesystem>
#include <functional>
#include <string>
#include <utility>

#include "fireclaw/error.hpp"
#include "sys/file.hpp"

namespace fireclaw::sys::testing {

inline TempDir temp_dir() { return TempDir{std::filesystem::temp_directory_path(), "fireclaw-test-"}; }

/// The Error that `action` throws; the test fails if it throws none.
inline Error thrown_by(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error;
  }
  FAIL("no error was thrown");
  return {ErrorCode::Internal, ""};
}

/// Its code and text.
inline std::pair<ErrorCode, std::string> error_of(const std::function<void()>& action) {
  const auto error = thrown_by(action);
  return {error.code(), error.what()};
}

inline ErrorCode code_of(const std::function<void()>& action) { return thrown_by(action).code(); }

}  // namespace fireclaw::sys::testing
