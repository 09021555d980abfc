#pragma once

#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <string>

namespace fireclaw::overseer {

/// A folder of its own, gone with all in it at the end of the scope.
struct TempFolder {
  TempFolder() {
    std::string name = std::filesystem::temp_directory_path() / "fireclaw-overseer-XXXXXX";
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path = name;
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  ~TempFolder() { std::filesystem::remove_all(path); }
  std::filesystem::path path;
};

}  // namespace fireclaw::overseer
