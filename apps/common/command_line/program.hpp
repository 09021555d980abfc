#pragma once

#include <CLI/CLI.hpp>

#include <functional>
#include <vector>

#include "common/command_line/completion.hpp"
#include "common/command_line/manual.hpp"

namespace fireclaw::cli {

/// Adds what all programs have in common: --help and its layout, --version; options are also accepted behind a command.
/// Call it before anything is added.
void add_basics(CLI::App& app);

/// A page of the manual, and the command that it is about.
struct PageOf {
  const CLI::App* command;
  ManualPage page;
};

/// Answers calls of scripts, which no help mentions: `__complete WORD...` from shells says how the words can continue;
/// `__manual FOLDER DATE` from the build writes pages. False if it was neither.
bool answer_script(const CLI::App& app, int argc, const char* const* argv, const Names& names,
                   const std::function<std::vector<PageOf>()>& pages);

}  // namespace fireclaw::cli
