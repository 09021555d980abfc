#pragma once

#include <CLI/CLI.hpp>

#include <string>

namespace fireclaw::cli {

/// Lays out --help: as wide as the terminal (80 columns without one), with bold headings if there is colour.
class HelpFormatter final : public CLI::FormatterBase {
 public:
  [[nodiscard]] std::string make_help(const CLI::App* app, std::string name, CLI::AppFormatMode mode) const override;
};

}  // namespace fireclaw::cli
