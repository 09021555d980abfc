#pragma once

#include <CLI/CLI.hpp>

#include <filesystem>
#include <string>
#include <vector>

namespace fireclaw::cli {

/// A manual page's properties beside the text of its command.
struct ManualPage {
  /// "fireclaw-run".
  std::string name;
  /// The date on it, as in 2026-01-31.
  std::string date;
  /// Pages to see also, as in "fireclaw(1)".
  std::vector<std::string> see_also;
  /// Whether the commands below are described on it, or only listed with their own pages.
  bool with_commands = true;
};

/// The page in the language of man(7).
std::string to_manual(const CLI::App& app, const ManualPage& page);
/// "fireclaw-run" for the command "fireclaw run".
std::string manual_name(const CLI::App& app);
/// Writes the file NAME.1 into the folder, which is made if it is not there.
void write_manual(const std::filesystem::path& folder, const std::string& name, const std::string& text);

}  // namespace fireclaw::cli
