#pragma once

#include <sys/types.h>

#include <filesystem>

namespace fireclaw::sys {

/// mkdir(2) with exactly that mode, regardless of the umask. False if something of that name is there.
bool make_folder(const std::filesystem::path& path, mode_t mode = 0700);

}  // namespace fireclaw::sys
