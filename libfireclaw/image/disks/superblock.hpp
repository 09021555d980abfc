#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

/// The superblock of an ext4 file system on a disk that a guest may have written. Works on bytes only.
namespace fireclaw::image {

/// Its offset on the disk, and its length.
inline constexpr std::uint64_t superblock_offset = 1024;
inline constexpr std::size_t superblock_bytes = 1024;

/// A superblock's fields. Counts of a damaged or mounted file system can be wrong.
struct Superblock {
  std::uint32_t compatible = 0;
  std::uint32_t incompatible = 0;
  std::uint32_t read_only_compatible = 0;
  std::uint64_t block_bytes = 0;
  std::uint64_t blocks = 0;
  std::uint64_t free_blocks = 0;
  std::uint64_t inodes = 0;
  std::uint64_t free_inodes = 0;
  std::uint64_t inode_bytes = 0;
  std::uint64_t blocks_per_group = 0;
  std::uint64_t inodes_per_group = 0;
  std::uint64_t cluster_bytes = 0;
  std::uint64_t descriptor_bytes = 0;
  std::uint64_t reserved_descriptor_blocks = 0;
  std::uint32_t revision = 0;
  std::uint32_t first_block = 0;
  std::uint32_t first_inode = 0;
  /// The journal's inode within the file system, and the device of one elsewhere.
  std::uint32_t journal_inode = 0;
  std::uint32_t journal_device = 0;
  /// Unmounted in order, no error seen in it, no journal to be replayed.
  bool clean = false;

  bool operator==(const Superblock&) const = default;
};

/// Reads a superblock. `bytes`: those at superblock_offset of a disk of `disk_bytes`. Error(Corrupt) says why it is not
/// a superblock, or cannot be that disk's.
Superblock parse_superblock(std::string_view bytes, std::uint64_t disk_bytes);

/// A trait that fireclaw never makes, as a text for people; empty if there is none. A guest can write features that
/// tools rarely read and may read badly, so e2fsprogs gets only file systems without such traits.
std::string foreign_trait(const Superblock& superblock);

}  // namespace fireclaw::image
