#pragma once

#include <filesystem>

#include "fireclaw/error.hpp"
#include "image/archives/compression.hpp"
#include "image/disks/e2fsprogs.hpp"

namespace fireclaw::core {

/// Does `work`, for which an engine writes below `folder`. Engines report a full disk in their own words: such an error
/// becomes the Error(Io) that names the place.
template <typename Work>
decltype(auto) naming_full_disk(const std::filesystem::path& folder, Work work) {
  try {
    return work();
  } catch (const Error& problem) {
    if (!image::says_disk_full(problem.what())) throw;
    throw image::disk_full(folder);
  }
}

}  // namespace fireclaw::core
