#pragma once

#include <CLI/CLI.hpp>

#include <string>

#include "fireclaw/fireclaw.hpp"

namespace fireclaw::cli {

/// --kernel, --kernel-sha256, --modules: where an image's kernel comes from.
class KernelOptions {
 public:
  void add_to(CLI::App& command);
  /// Error(InvalidArgument) if the options do not go together.
  [[nodiscard]] KernelSource source() const;

 private:
  std::string kernel_;
  std::string sha256_;
  std::string modules_;
};

}  // namespace fireclaw::cli
