#pragma once

#include <CLI/CLI.hpp>

#include <string>

namespace fireclaw::cli {

/// Explains why a command line was not understood, and what would be right: one line for the user.
std::string explain(const CLI::App& app, const CLI::ParseError& problem);

}  // namespace fireclaw::cli
