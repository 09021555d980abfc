#pragma once

#include <filesystem>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "sys/process.hpp"

namespace fireclaw::image {

/// How helper programs are found and run: their search path, the environment they get (nothing is inherited), the
/// folder for what they write on the way, and the stop token that ends them.
struct Tools {
  std::vector<std::filesystem::path> search_path;
  /// Added to the basic environment, replacing equal names, e.g. "http_proxy=...".
  std::vector<std::string> env;
  /// TMPDIR and HOME.
  std::filesystem::path temp;
  std::stop_token stop;

  [[nodiscard]] sys::ToolOptions options() const;
  /// The program's full path. Error(NotFound) naming the Debian package that has it.
  [[nodiscard]] std::filesystem::path require(const std::string& program, std::string_view package) const;
  /// Error(Cancelled) if a stop was requested.
  void check_stop() const;
};

}  // namespace fireclaw::image
