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

/// The code and text of the Error that `action` throws; the test fails if it throws none.
inline std::pair<ErrorCode, std::string> error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return {error.code(), error.what()};
  }
  FAIL("no error was thrown");
  return {ErrorCode::Internal, ""};
}

}  // namespace fireclaw::sys::testing
