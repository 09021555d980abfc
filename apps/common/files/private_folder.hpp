#pragma once

#include <filesystem>

namespace fireclaw::cli {

/// Makes the folder, and those above it that are missing: for this user alone, regardless of the umask. What is there
/// keeps its mode. Error(Io) if that fails.
void make_private_folder(const std::filesystem::path& folder);

}  // namespace fireclaw::cli
