#include "image/disks/superblock.hpp"

#include <fmt/format.h>

#include <array>

#include "fireclaw/error.hpp"
#include "image/bytes.hpp"

namespace fireclaw::image {
namespace {

constexpr std::uint64_t magic = 0xEF53;
constexpr unsigned most_shift = 6;
/// Blocks are counted in 32 bits by some tools.
constexpr std::uint64_t most_bytes = std::uint64_t{16} << 40;

namespace incompatible {
constexpr std::uint32_t filetype = 0x2;
constexpr std::uint32_t recover = 0x4;
constexpr std::uint32_t extents = 0x40;
constexpr std::uint32_t wide = 0x80;
constexpr std::uint32_t flex_bg = 0x200;
}  // namespace incompatible

namespace compatible {
constexpr std::uint32_t has_journal = 0x4;
constexpr std::uint32_t ext_attr = 0x8;
constexpr std::uint32_t resize_inode = 0x10;
constexpr std::uint32_t dir_index = 0x20;
constexpr std::uint32_t sparse_super2 = 0x200;
}  // namespace compatible

namespace read_only {
constexpr std::uint32_t sparse_super = 0x1;
constexpr std::uint32_t large_file = 0x2;
constexpr std::uint32_t huge_file = 0x8;
constexpr std::uint32_t dir_nlink = 0x20;
constexpr std::uint32_t extra_isize = 0x40;
constexpr std::uint32_t metadata_csum = 0x400;
}  // namespace read_only

// What make_ext4() asks for, and what a kernel that mounts it adds.
constexpr std::uint32_t our_compatible = compatible::has_journal | compatible::ext_attr | compatible::resize_inode |
                                         compatible::dir_index | compatible::sparse_super2;
constexpr std::uint32_t always_incompatible =
    incompatible::filetype | incompatible::extents | incompatible::wide | incompatible::flex_bg;
constexpr std::uint32_t our_incompatible = always_incompatible | incompatible::recover;
constexpr std::uint32_t always_read_only = read_only::sparse_super | read_only::large_file | read_only::huge_file |
                                           read_only::dir_nlink | read_only::extra_isize | read_only::metadata_csum;
constexpr std::uint64_t our_block_bytes = 4096;
constexpr std::uint64_t our_inode_bytes = 256;
constexpr std::uint64_t our_descriptor_bytes = 64;
constexpr std::uint32_t our_first_inode = 11;
constexpr std::uint32_t our_journal_inode = 8;
constexpr std::uint32_t dynamic_revision = 1;

constexpr std::uint16_t state_valid = 0x1;
constexpr std::uint16_t state_errors = 0x2;

Error corrupt(std::string_view why) {
  return Error{ErrorCode::Corrupt, fmt::format("it is not a sound ext4 file system: {}", why)};
}

}  // namespace

Superblock parse_superblock(std::string_view bytes, std::uint64_t disk_bytes) {
  if (bytes.size() < superblock_bytes) throw corrupt("it is too short");
  const auto u16 = [&](std::size_t at) { return *load_le<std::uint16_t>(bytes, at); };
  const auto u32 = [&](std::size_t at) { return *load_le<std::uint32_t>(bytes, at); };
  if (u16(0x38) != magic) throw corrupt("its superblock is not there");
  Superblock found;
  found.compatible = u32(0x5C);
  found.incompatible = u32(0x60);
  found.read_only_compatible = u32(0x64);
  const bool is_wide = (found.incompatible & incompatible::wide) != 0;
  const auto wide = [&](std::size_t low, std::size_t high) {
    return std::uint64_t{u32(low)} | (is_wide ? std::uint64_t{u32(high)} << 32 : 0);
  };
  if (u32(0x18) > most_shift || u32(0x1C) > 30) throw corrupt("its block size is impossible");
  found.block_bytes = std::uint64_t{1024} << u32(0x18);
  found.cluster_bytes = std::uint64_t{1024} << u32(0x1C);
  found.blocks = wide(0x4, 0x150);
  found.free_blocks = wide(0xC, 0x158);
  found.inodes = u32(0x0);
  found.free_inodes = u32(0x10);
  found.first_block = u32(0x14);
  found.blocks_per_group = u32(0x20);
  found.inodes_per_group = u32(0x28);
  found.revision = u32(0x4C);
  found.first_inode = u32(0x54);
  found.inode_bytes = u16(0x58);
  found.reserved_descriptor_blocks = u16(0xCE);
  found.journal_inode = u32(0xE0);
  found.journal_device = u32(0xE4);
  found.descriptor_bytes = u16(0xFE);
  if (found.blocks == 0 || found.blocks > most_bytes / found.block_bytes) throw corrupt("its size is impossible");
  if (found.blocks * found.block_bytes > disk_bytes) {
    throw corrupt(fmt::format("it needs {} bytes, the file has {}", found.blocks * found.block_bytes, disk_bytes));
  }
  found.clean =
      (u16(0x3A) & (state_valid | state_errors)) == state_valid && (found.incompatible & incompatible::recover) == 0;
  return found;
}

std::string foreign_trait(const Superblock& superblock) {
  const auto unknown = [](std::string_view kind, std::uint32_t bits) {
    return fmt::format("{} feature {:#x}", kind, bits & (~bits + 1));
  };
  if (const auto more = superblock.compatible & ~our_compatible; more != 0) return unknown("compatible", more);
  if (const auto more = superblock.incompatible & ~our_incompatible; more != 0) return unknown("incompatible", more);
  if (const auto more = superblock.read_only_compatible & ~always_read_only; more != 0) {
    return unknown("read-only compatible", more);
  }
  if (const auto less = always_incompatible & ~superblock.incompatible; less != 0) {
    return "no " + unknown("incompatible", less);
  }
  if (const auto less = always_read_only & ~superblock.read_only_compatible; less != 0) {
    return "no " + unknown("read-only compatible", less);
  }
  const bool has_journal = (superblock.compatible & compatible::has_journal) != 0;
  const std::uint64_t per_block = 8 * superblock.block_bytes;
  struct Expectation {
    std::string_view what;
    bool holds;
  };
  const std::array expectations{
      Expectation{"a revision other than 1", superblock.revision == dynamic_revision},
      Expectation{"blocks of other than 4096 bytes", superblock.block_bytes == our_block_bytes},
      Expectation{"clusters", superblock.cluster_bytes == superblock.block_bytes},
      Expectation{"a first block other than 0", superblock.first_block == 0},
      Expectation{"inodes of other than 256 bytes", superblock.inode_bytes == our_inode_bytes},
      Expectation{"group descriptors of other than 64 bytes", superblock.descriptor_bytes == our_descriptor_bytes},
      Expectation{"a first inode other than 11", superblock.first_inode == our_first_inode},
      Expectation{"groups of an odd number of blocks", superblock.blocks_per_group == per_block},
      Expectation{"groups of an impossible number of inodes",
                  superblock.inodes_per_group != 0 && superblock.inodes_per_group <= per_block},
      Expectation{"too many reserved group descriptors",
                  superblock.reserved_descriptor_blocks <= superblock.block_bytes / 4},
      Expectation{"a journal on another device", superblock.journal_device == 0},
      Expectation{"a journal in another inode", superblock.journal_inode == (has_journal ? our_journal_inode : 0)},
  };
  for (const auto& expectation : expectations) {
    if (!expectation.holds) return std::string{expectation.what};
  }
  const auto groups = (superblock.blocks + superblock.blocks_per_group - 1) / superblock.blocks_per_group;
  if (superblock.inodes != groups * superblock.inodes_per_group)
    return "a number of inodes that its groups do not have";
  return {};
}

}  // namespace fireclaw::image
