#pragma once

#include <filesystem>

namespace fireclaw::cli {

/// Makes the folder, and missing ones above it, for this user only, regardless of the umask. Existing folders keep
/// their mode. Error(Io) if that fails.
void make_private_folder(const std::filesystem::path& folder);

}  // namespace fireclaw::cli
