#pragma once

#include <chrono>
#include <filesystem>
#include <vector>

namespace fireclaw::sys {

/// A name in the folder for a file that is written there before it takes the place of another: ".fireclaw-*.tmp".
std::filesystem::path unfinished_file_in(const std::filesystem::path& folder);
/// Removes files of such names whose writers were killed, in the folder and all below it: those older than `age`, since
/// younger ones may be in the making. Returns their paths. What cannot be looked at is left out.
std::vector<std::filesystem::path> remove_unfinished_files(const std::filesystem::path& folder,
                                                           std::chrono::seconds age);

}  // namespace fireclaw::sys
