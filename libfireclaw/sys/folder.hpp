#pragma once

#include <sys/types.h>

#include <filesystem>

namespace fireclaw::sys {

/// mkdir(2) with exactly that mode, regardless of the umask. False if something of that name is there.
bool make_folder(const std::filesystem::path& path, mode_t mode = 0700);

/// make_directories() that syncs the parent of each new folder: for folders whose files must outlast a power cut.
void make_durable_directories(const std::filesystem::path& path, mode_t mode = 0700);

}  // namespace fireclaw::sys
