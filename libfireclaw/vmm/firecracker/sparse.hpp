#pragma once

#include <cstdint>
#include <filesystem>

namespace fireclaw::vmm::firecracker {

/// Gives back the disk space of the file's long runs of zeros, which read as before. Firecracker writes out the whole
/// memory, most of which a guest that has just booted has never touched. Returns the bytes given back; none, and no
/// error, on file systems that cannot do it.
std::uint64_t dig_holes(const std::filesystem::path& path);

}  // namespace fireclaw::vmm::firecracker
