#pragma once

#include <filesystem>
#include <string>

namespace fireclaw::net {

/// The kernel's id of this boot, which changes with every reboot. Records of kernel state carry it.
std::string current_boot_id();

/// Whether the file was last written before this machine started.
bool written_before_boot(const std::filesystem::path& file);

}  // namespace fireclaw::net
