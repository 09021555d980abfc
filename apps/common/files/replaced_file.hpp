#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string_view>

namespace fireclaw::cli {

/// Replaces a file by the text: at every moment, also after a loss of power, it is the old one or the new one.
/// Error(Io) if that fails; the old one then remains.
void replace_file(const std::filesystem::path& path, std::string_view text, mode_t mode);

/// Gives the file `beside`, which is open as `fd`, its name for good: both the file and its folder are synced.
/// Error(Io) if that fails.
void rename_synced(int fd, const std::filesystem::path& beside, const std::filesystem::path& path);

}  // namespace fireclaw::cli
