#include "image/disks/ext4.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <fstream>
#include <random>

#include "base/units.hpp"
#include "image/disks/e2fsprogs.hpp"
#include "image/testing/craft.hpp"

using namespace fireclaw;
using namespace fireclaw::image;
using image::testing::error_of;

namespace {

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

TEST_CASE_FIXTURE(Fixture, "a new disk is clean, sparse, and belongs to the given owner") {
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

TEST_CASE_FIXTURE(Fixture,
                  "growing and shrinking change the file with the file system, down to what its content needs") {
  make();
  const auto file = folder.path() / "content";
  std::ofstream{file} << std::string(20 * mib, 'c');
  debugfs("write " + file.string() + " content", true);
  for (const std::uint64_t bytes : {1024 * mib, 256 * mib, 64 * mib}) {
    resize_ext4(disk, bytes, tools, logger);
    CHECK(ext4_usage(disk).bytes == bytes);
    CHECK(std::filesystem::file_size(disk) == bytes);
    CHECK_FALSE(check_ext4(disk, CheckDepth::Full, tools, logger).repaired);
    CHECK(debugfs("stat content").find("Size: " + std::to_string(20 * mib)) != std::string::npos);
  }
  CHECK(sys::allocated_bytes(disk) < 32 * mib);
  const auto [code, text] = error_of([&] { resize_ext4(disk, 16 * mib, tools, logger); });
  CHECK(code == ErrorCode::InvalidState);
  CHECK(text.find("cannot become as small as 16 MiB: what is in it needs ") != std::string::npos);
  CHECK(ext4_usage(disk).bytes == 64 * mib);
  CHECK(error_of([&] { resize_ext4(disk, mib, tools, logger); }).first == ErrorCode::InvalidArgument);
  CHECK(messages.empty());
}

TEST_CASE_FIXTURE(Fixture, "what stood in the journal when the machine crashed is on the disk after the check") {
  make();
  const std::string block(4096, 'j');
  const auto file = folder.path() / "block";
  std::ofstream{file} << block;
  std::ofstream{folder.path() / "commands"} << "journal_open\njournal_write -b 9000 " << file.string()
                                            << "\njournal_close\n";
  sys::check_tool({"debugfs", "-w", "-f", (folder.path() / "commands").string(), disk.string()}, tools.options());
  CHECK_FALSE(ext4_usage(disk).clean);
  const Ext4Check check = check_ext4(disk, CheckDepth::Quick, tools, logger);
  CHECK_FALSE(check.repaired);
  CHECK(check.report.find("journal") != std::string::npos);
  CHECK(ext4_usage(disk).clean);
  CHECK(sys::read_file(disk, 128 * mib).substr(std::size_t{9000} * 4096, 4096) == block);
  CHECK(messages.empty());
}

TEST_CASE_FIXTURE(Fixture, "what the careful check cannot repair is repaired by force, with a warning") {
  make();
  // The root folder is gone.
  debugfs("clri <2>", true);
  const Ext4Check check = check_ext4(disk, CheckDepth::Full, tools, logger);
  CHECK(check.repaired);
  CHECK_FALSE(check.report.empty());
  CHECK(check.report.find('\n') == std::string::npos);
  REQUIRE(messages.size() == 1);
  CHECK(messages[0].find("is damaged") != std::string::npos);
  CHECK_FALSE(check_ext4(disk, CheckDepth::Full, tools, logger).repaired);
}

TEST_CASE_FIXTURE(Fixture, "what is not a file system is reported as damaged beyond repair, and stays as it was") {
  for (const std::string& content : {std::string{}, std::string("text"), std::string(4 * mib, '\0')}) {
    std::ofstream{disk} << content;
    const auto [code, text] = error_of([&] { check_ext4(disk, CheckDepth::Quick, tools, logger); });
    CHECK(code == ErrorCode::Corrupt);
    CHECK(text.find(disk.string()) != std::string::npos);
    CHECK(error_of([&] { ext4_usage(disk); }).first == ErrorCode::Corrupt);
    CHECK(sys::read_file(disk) == content);
  }
  // Cut off: what the superblock counts on is not there.
  std::filesystem::remove(disk);
  make();
  std::filesystem::resize_file(disk, 20 * mib);
  CHECK(error_of([&] { check_ext4(disk, CheckDepth::Full, tools, logger); }).first == ErrorCode::Corrupt);
  CHECK(error_of([&] { ext4_usage(disk); }).first == ErrorCode::Corrupt);
  CHECK(error_of([&] { check_ext4(folder.path() / "missing", CheckDepth::Quick, tools, logger); }).first ==
        ErrorCode::NotFound);
}

TEST_CASE_FIXTURE(Fixture, "a superblock that lies is found out") {
  make();
  const std::string block = sys::read_file(disk, 128 * mib).substr(1024, 1024);
  const auto with = [&](std::size_t at, std::string_view bytes) {
    std::string changed = block;
    changed.replace(at, bytes.size(), bytes);
    overwrite(1024, changed);
  };
  const std::string_view huge{"\xff\xff\xff\xff", 4};
  for (const std::size_t field : {std::size_t{0x4}, std::size_t{0x18}, std::size_t{0x38}, std::size_t{0x150}}) {
    with(field, huge);
    CHECK(error_of([&] { ext4_usage(disk); }).first == ErrorCode::Corrupt);
  }
  with(0xC, huge);
  CHECK(ext4_usage(disk).used_bytes <= 64 * mib);
  with(0x10, huge);
  CHECK(ext4_usage(disk).files == 0);
}

TEST_CASE_FIXTURE(Fixture,
                  "bytes flipped anywhere leave a disk that is repaired or reported, and never hang the check") {
  make_ext4(disk, {16 * mib, "", true, 1000, 1000}, tools);
  const auto file = folder.path() / "content";
  std::ofstream{file} << std::string(100'000, 'c');
  for (int i = 0; i < 20; ++i) {
    debugfs("mkdir folder" + std::to_string(i), true);
    debugfs("write " + file.string() + " file" + std::to_string(i), true);
  }
  const std::string whole = sys::read_file(disk, 32 * mib);
  // Where there is something: damage to empty blocks shows nothing.
  std::vector<std::size_t> used;
  for (std::size_t at = 0; at < whole.size(); at += 4096) {
    if (whole.compare(at, 4096, std::string(4096, '\0')) != 0) used.push_back(at);
  }
  REQUIRE(used.size() > 10);
  std::mt19937 random{20260101};
  int repaired = 0;
  int lost = 0;
  for (int round = 0; round < 60; ++round) {
    std::string damaged = whole;
    const unsigned flips = 1U << (round % 10);
    for (unsigned i = 0; i < flips; ++i) {
      const std::size_t block = used[random() % used.size()];
      damaged[block + random() % 4096] ^= static_cast<char>(1 + random() % 255);
    }
    overwrite(0, damaged);
    try {
      repaired += check_ext4(disk, CheckDepth::Full, tools, logger).repaired ? 1 : 0;
      // Whatever was wrong, it is no longer.
      CHECK_FALSE(check_ext4(disk, CheckDepth::Full, tools, logger).repaired);
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::Corrupt);
      ++lost;
    }
    CHECK(std::filesystem::file_size(disk) == 16 * mib);
  }
  CHECK(repaired > 10);
  MESSAGE(repaired, " repaired, ", lost, " beyond repair");
}

TEST_CASE_FIXTURE(Fixture, "what is done with a disk that a guest wrote sees that disk and its own libraries alone") {
  using sys::Confinement;
  const auto plan = confine_tool("/bin/sh", disk, 64 * mib, Confinement::Full);
  std::vector<std::string> written;
  for (const auto& entry : plan.entries) {
    if (entry.kind == sys::SandboxEntry::Kind::ReadWrite) written.push_back(entry.path.string());
    const auto path = entry.path.string();
    const bool is_library = path.starts_with("/lib") || path.starts_with("/usr/l") || path == "/etc/ld.so.cache";
    const bool is_setting =
        path == "/etc/mke2fs.conf" || path == "/etc/e2fsck.conf" || path.starts_with("/sys/fs/ext4/");
    CHECK((is_library || is_setting || path == disk || path == "/bin/sh"));
  }
  CHECK(written == std::vector{disk.string()});
  CHECK(plan.limits.file_bytes == 64 * mib);
  CHECK(plan.own_network);

  make();
  CHECK(run_confined({"/bin/cat", "/etc/passwd"}, disk, 64 * mib, tools).out.empty());
  CHECK(run_confined({"/usr/bin/head", "-c", "1024", disk.string()}, disk, 64 * mib, tools).out.size() == 1024);
  // It cannot make the disk larger than it is.
  try {
    run_confined({"/usr/bin/truncate", "-s", "70M", disk.string()}, disk, 64 * mib, tools);
  } catch (const Error& ended) {
    // The limit's signal, which a process 1 does not get.
    CHECK(ended.code() == ErrorCode::Corrupt);
  }
  CHECK(std::filesystem::file_size(disk) == 64 * mib);
  CHECK(error_of([&] {
          run_confined({"/bin/sh", "-c", "ulimit -t 1; while :; do :; done"}, disk, 64 * mib, tools);
        }).first == ErrorCode::Corrupt);
}

TEST_CASE_FIXTURE(Fixture, "a new disk can hold a folder of the caller's, which belongs to the disk's owner there") {
  const auto seed = folder.path() / "seed";
  std::filesystem::create_directories(seed / "memory");
  std::ofstream{seed / "note"} << "text";
  std::filesystem::permissions(seed / "note", std::filesystem::perms{0640});
  make_ext4(disk, {64 * mib, "", true, 1000, 1001, seed}, tools);
  CHECK(debugfs("cat note") == "text");
  for (const char* name : {"note", "memory", "<2>"}) {
    CHECK(debugfs(fmt::format("stat {}", name)).find("User:  1000   Group:  1001") != std::string::npos);
  }
  CHECK(debugfs("stat note").find("Mode:  0640") != std::string::npos);
  CHECK_FALSE(check_ext4(disk, CheckDepth::Full, tools, logger).repaired);
}

TEST_CASE_FIXTURE(Fixture, "a disk with a feature that we do not make is neither checked nor resized") {
  make();
  debugfs("feature inline_data", true);
  for (const auto& [code, text] : {error_of([&] { check_ext4(disk, CheckDepth::Quick, tools, logger); }),
                                   error_of([&] { resize_ext4(disk, 128 * mib, tools, logger); })}) {
    CHECK(code == ErrorCode::Corrupt);
    CHECK(text.find("it has incompatible feature 0x8000, which fireclaw does not make") != std::string::npos);
  }
}
