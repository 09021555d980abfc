#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>

#include "image/archives/file_tree.hpp"
#include "image/tools.hpp"

namespace fireclaw::image {

/// Makes a squashfs image of the tree at `target` (which must not exist), by mksquashfs, without root: owners, modes,
/// devices and extended attributes go in as the tree has them. `progress` is told of content bytes done and in all.
void make_squashfs(const Tree& tree, const std::filesystem::path& target, const Tools& tools,
                   const std::function<void(std::uint64_t done, std::uint64_t total)>& progress);

}  // namespace fireclaw::image
