// Whatever a guest writes where a superblock belongs, it is refused, or found foreign, or its numbers are those of a
// file system that fits its disk.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <string_view>

#include "fireclaw/error.hpp"
#include "image/disks/superblock.hpp"

namespace {

using namespace fireclaw::image;

constexpr std::uint64_t disk_bytes = std::uint64_t{64} << 20;

void require(bool holds, std::string_view what) {
  if (holds) return;
  std::cerr << "violated: " << what << "\n";
  std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const auto found = parse_superblock({reinterpret_cast<const char*>(data), size}, disk_bytes);
    require(found.blocks != 0 && found.blocks <= disk_bytes / found.block_bytes, "it fits the disk");
    if (!foreign_trait(found).empty()) return 0;
    require(found.block_bytes == 4096 && found.inode_bytes == 256, "what is ours has our sizes");
    require(found.journal_device == 0, "a journal of ours is nowhere else");
    const auto groups = (found.blocks + found.blocks_per_group - 1) / found.blocks_per_group;
    require(found.inodes == groups * found.inodes_per_group, "inodes are in groups");
  } catch (const fireclaw::Error& error) {
    require(error.code() == fireclaw::ErrorCode::Corrupt, "a refusal says that it is the disk's fault");
  }
  return 0;
}
