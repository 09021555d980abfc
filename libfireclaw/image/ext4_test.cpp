#include "image/ext4.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <fstream>
#include <random>

#include "image/testing/craft.hpp"

using namespace fireclaw;
using namespace fireclaw::image;
using image::testing::error_of;

namespace {

constexpr std::uint64_t mib = std::uint64_t{1} << 20;

struct Fixture {
  sys::TempDir folder = image::testing::temp_dir();
  std::filesystem::path disk = folder.path() / "disk.ext4";
  Tools tools = image::testing::make_tools(folder.path());
  std::vector<std::string> messages;
  Logger logger{[this](LogLevel, std::string_view message) { messages.emplace_back(message); }};

  void make(std::uint64_t bytes = 64 * mib) const { make_ext4(disk, {bytes, "", true, 1000, 1000}, tools); }
  std::string debugfs(const std::string& command, bool write = false) const {
    std::vector<std::string> argv{"debugfs", "-R", command, disk.string()};
    if (write) argv.insert(argv.begin() + 1, "-w");
    return sys::check_tool(argv, tools.options()).out;
  }
  /// Changes bytes of the file as a program that knows nothing of file systems would.
  void overwrite(std::uint64_t offset, std::string_view bytes) const {
    const sys::Fd file = sys::open_file(disk, O_WRONLY);
    REQUIRE(::pwrite(file.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset)) ==
            static_cast<ssize_t>(bytes.size()));
  }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "a new disk is clean, sparse, and belongs to whom it was made for") {
  make();
  const Ext4Usage usage = ext4_usage(disk);
  CHECK(usage.bytes == 64 * mib);
  CHECK(usage.used_bytes < 8 * mib);
  CHECK(usage.clean);
  CHECK(std::filesystem::file_size(disk) == 64 * mib);
  CHECK(sys::allocated_bytes(disk) < mib / 2);
  CHECK(debugfs("stat <2>").find("User:  1000   Group:  1000") != std::string::npos);
  const Ext4Check check = check_ext4(disk, CheckDepth::Full, tools, logger);
  CHECK_FALSE(check.repaired);
  CHECK(check.report.empty());
  CHECK(messages.empty());
}

TEST_CASE_FIXTURE(Fixture, "a scratch disk takes less than 1 MiB, however large it seems, and has no journal") {
  for (const std::uint64_t bytes : {mib, 64 * mib, 10240 * mib, 131072 * mib}) {
    make_ext4(disk, {bytes, "scratch", false, 1000, 1000}, tools);
    CHECK(ext4_usage(disk).bytes == bytes);
    CHECK(sys::allocated_bytes(disk) < mib);
    CHECK(debugfs("features").find("has_journal") == std::string::npos);
    CHECK_FALSE(check_ext4(disk, CheckDepth::Full, tools, logger).repaired);
    std::filesystem::remove(disk);
  }
}

TEST_CASE_FIXTURE(Fixture, "impossible sizes and taken names are refused, and nothing is left") {
  for (const std::uint64_t bytes : {std::uint64_t{0}, 8 * mib, 64 * mib + 1, std::uint64_t{1} << 60}) {
    CHECK(error_of([&] { make(bytes); }).first == ErrorCode::InvalidArgument);
    CHECK_FALSE(std::filesystem::exists(disk));
  }
  make();
  CHECK(error_of([&] { make(); }).first == ErrorCode::AlreadyExists);
  CHECK(ext4_usage(disk).clean);
  Tools none = tools;
  none.search_path = {folder.path()};
  const auto [code, text] = error_of([&] { make_ext4(folder.path() / "other", {}, none); });
  CHECK(code == ErrorCode::NotFound);
  CHECK(text.find("apt-get install e2fsprogs") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(folder.path() / "other"));
}

TEST_CASE_FIXTURE(Fixture, "a disk whose machine crashed is made clean again") {
  make();
  // What a mounted file system looks like: not marked as clean.
  debugfs("ssv state 0", true);
  CHECK_FALSE(ext4_usage(disk).clean);
  check_ext4(disk, CheckDepth::Quick, tools, logger);
  CHECK(ext4_usage(disk).clean);
}
