#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

/// The superblock of an ext4 file system, as it is on a disk that a guest may have written. Only bytes are looked at.
namespace fireclaw::image {

/// It begins there, and is that long.
inline constexpr std::uint64_t superblock_offset = 1024;
inline constexpr std::size_t superblock_bytes = 1024;

/// What a superblock says. Counts of a damaged or mounted file system may be off.
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

/// `bytes`: what is at superblock_offset of a disk of `disk_bytes`. Error(Corrupt) that says why it is none, or why it
/// cannot be that disk's.
Superblock parse_superblock(std::string_view bytes, std::uint64_t disk_bytes);

/// What in it fireclaw never makes, as a text for people; empty if there is nothing. Tools read what they know of, and
/// a guest can write what is rarely read: so e2fsprogs is let at nothing else.
std::string foreign_trait(const Superblock& superblock);

}  // namespace fireclaw::image
