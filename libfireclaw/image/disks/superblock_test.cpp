#include "image/disks/superblock.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include "image/disks/ext4.hpp"
#include "image/testing/craft.hpp"
#include "sys/fd.hpp"
#include "sys/file.hpp"

using namespace fireclaw;
using namespace fireclaw::image;
using image::testing::error_of;

namespace {

constexpr std::uint64_t disk_bytes = std::uint64_t{64} << 20;

/// The superblock of a disk that was just made.
struct Made {
  sys::TempDir folder = image::testing::temp_dir();
  Tools tools = image::testing::make_tools(folder.path());

  [[nodiscard]] std::string superblock(bool journal = true, std::uint64_t bytes = disk_bytes) const {
    const auto file = folder.path() / (journal ? "with.ext4" : "without.ext4");
    std::filesystem::remove(file);
    make_ext4(file, {bytes, "label", journal, 1000, 1000}, tools);
    std::string read(superblock_bytes, '\0');
    const auto fd = sys::open_file(file, O_RDONLY);
    REQUIRE(::pread(fd.get(), read.data(), read.size(), superblock_offset) == static_cast<ssize_t>(superblock_bytes));
    return read;
  }
};

std::string with(std::string bytes, std::size_t at, std::size_t width, std::uint64_t value) {
  for (std::size_t i = 0; i < width; ++i) bytes.at(at + i) = static_cast<char>(value >> (8 * i));
  return bytes;
}

std::string trait(const std::string& bytes) { return foreign_trait(parse_superblock(bytes, disk_bytes)); }
std::string refusal(const std::string& bytes, std::uint64_t disk = disk_bytes) {
  const auto [code, text] = error_of([&] { static_cast<void>(parse_superblock(bytes, disk)); });
  CHECK(code == ErrorCode::Corrupt);
  return text;
}

}  // namespace

TEST_CASE_FIXTURE(Made, "our own file systems have only known features, in any size, with a journal and without") {
  for (const bool journal : {true, false}) {
    for (const std::uint64_t mib : {16, 64, 200, 1024, 40960}) {
      const auto found = parse_superblock(superblock(journal, mib << 20), mib << 20);
      CHECK(foreign_trait(found) == "");
      CHECK(found.blocks * found.block_bytes == mib << 20);
      CHECK(found.clean);
    }
  }
}

TEST_CASE_FIXTURE(Made, "a journal that has to be replayed is ours, and not clean") {
  const auto bytes = superblock();
  const auto mounted = with(bytes, 0x60, 4, parse_superblock(bytes, disk_bytes).incompatible | 0x4);
  CHECK(trait(mounted) == "");
  CHECK_FALSE(parse_superblock(mounted, disk_bytes).clean);
  CHECK_FALSE(parse_superblock(with(bytes, 0x3A, 2, 3), disk_bytes).clean);
}

TEST_CASE_FIXTURE(Made, "each feature that we do not make is seen, and each that we do is missed") {
  const auto bytes = superblock();
  const auto made = parse_superblock(bytes, disk_bytes);
  for (unsigned bit = 0; bit < 32; ++bit) {
    const std::uint32_t mask = 1U << bit;
    const auto flipped = [&](std::size_t at, std::uint32_t features) { return with(bytes, at, 4, features ^ mask); };
    // Some of the first kind a disk may have or not: a journal, indexes, what a kernel adds.
    if ((made.compatible & mask) == 0 && mask != 0x200) CHECK(trait(flipped(0x5C, made.compatible)) != "");
    if (mask != 0x4 && mask != 0x80) CHECK(trait(flipped(0x60, made.incompatible)) != "");
    CHECK(trait(flipped(0x64, made.read_only_compatible)) != "");
  }
  CHECK(trait(with(bytes, 0x60, 4, made.incompatible | 0x10000)) == "incompatible feature 0x10000");
}

TEST_CASE_FIXTURE(Made, "a geometry that we do not make is foreign") {
  const auto bytes = superblock();
  CHECK(trait(with(bytes, 0xE4, 4, 0x801)) == "a journal on another device");
  CHECK(trait(with(bytes, 0xE0, 4, 12)) == "a journal in another inode");
  CHECK(trait(with(bytes, 0x4C, 4, 0)) == "a revision other than 1");
  CHECK(trait(with(bytes, 0x58, 2, 128)) == "inodes of other than 256 bytes");
  CHECK(trait(with(bytes, 0x58, 2, 0)) != "");
  CHECK(trait(with(bytes, 0x20, 4, 0)) != "");
  CHECK(trait(with(bytes, 0x28, 4, 0)) != "");
  CHECK(trait(with(bytes, 0x28, 4, 0xffffffff)) != "");
  CHECK(trait(with(bytes, 0x1C, 4, 4)) == "clusters");
  CHECK(trait(with(bytes, 0x54, 4, 1)) != "");
  CHECK(trait(with(bytes, 0xFE, 2, 32)) != "");
  CHECK(trait(with(bytes, 0xCE, 2, 0xffff)) != "");
  CHECK(trait(with(bytes, 0x14, 4, 1)) != "");
  CHECK(trait(with(bytes, 0x0, 4, 7)) == "a number of inodes that its groups do not have");
}

TEST_CASE_FIXTURE(Made, "a superblock that cannot be the disk's is refused with the reason") {
  const auto bytes = superblock();
  CHECK(refusal("").find("too short") != std::string::npos);
  CHECK(refusal(bytes.substr(1)).find("too short") != std::string::npos);
  CHECK(refusal(with(bytes, 0x38, 2, 0)).find("not there") != std::string::npos);
  CHECK(refusal(with(bytes, 0x18, 4, 7)).find("block size") != std::string::npos);
  CHECK(refusal(with(bytes, 0x1C, 4, 0xffffffff)).find("block size") != std::string::npos);
  CHECK(refusal(with(bytes, 0x4, 4, 0)).find("size is impossible") != std::string::npos);
  CHECK(refusal(with(bytes, 0x150, 4, 0xffffffff)).find("size is impossible") != std::string::npos);
  CHECK(refusal(bytes, disk_bytes - 1).find("it needs 67108864 bytes, the file has 67108863") != std::string::npos);
}
