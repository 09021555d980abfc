#include "image/archives/cpio.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include "image/testing/craft.hpp"

using namespace fireclaw;
using namespace fireclaw::image;
using image::testing::error_of;

namespace {

std::string sample() {
  CpioWriter cpio;
  cpio.directory("dev");
  cpio.file("init", 0755, "#!/bin/sh\n");
  cpio.symlink("sbin", "usr/sbin");
  return cpio.take();
}

}  // namespace

TEST_CASE("a cpio archive is, byte for byte, what the format says") {
  CpioWriter cpio;
  cpio.file("init", 0755, "hello");
  const std::string archive = cpio.take();
  using namespace std::string_literals;
  const std::string entry =
      "070701"
      "00000001"  // inode
      "000081ED"  // a file, 0755
      "00000000"
      "00000000"
      "00000001"  // links
      "00000000"  // 1970
      "00000005"  // bytes
      "00000000"
      "00000000"
      "00000000"
      "00000000"
      "00000005"  // name with its NUL
      "00000000"
      "init\0\0"
      "hello\0\0\0"s;
  CHECK(archive.substr(0, entry.size()) == entry);
  CHECK(archive.substr(entry.size(), 6) == "070701");
  CHECK(archive.size() % 512 == 0);
}

TEST_CASE("cpio itself reads what the writer wrote") {
  const sys::TempDir folder = image::testing::temp_dir();
  const Tools tools = image::testing::make_tools(folder.path());
  const std::string listing = image::testing::filter({"cpio", "-itv", "--quiet", "--numeric-uid-gid"}, sample(), tools);
  CHECK(listing.find("drwxr-xr-x   2 0        0               0 Jan  1  1970 dev\n") != std::string::npos);
  CHECK(listing.find("-rwxr-xr-x   1 0        0              10 Jan  1  1970 init\n") != std::string::npos);
  CHECK(listing.find("sbin -> usr/sbin\n") != std::string::npos);
}

TEST_CASE("the same calls give the same archive, and reading gives back what was written") {
  const std::string archive = sample();
  CHECK(archive == sample());
  const auto entries = read_cpio(archive, "initramfs");
  REQUIRE(entries.size() == 3);
  CHECK(entries[0].path == "dev");
  CHECK(S_ISDIR(entries[0].mode));
  CHECK(entries[1].path == "init");
  CHECK(entries[1].mode == (S_IFREG | 0755));
  CHECK(entries[1].content == "#!/bin/sh\n");
  CHECK(S_ISLNK(entries[2].mode));
  CHECK(entries[2].content == "usr/sbin");
}

TEST_CASE("a cpio archive that is cut off anywhere is reported as torn, by name") {
  const std::string archive = sample();
  const std::size_t end = archive.find("TRAILER!!!");
  for (std::size_t length = 0; length < end; ++length) {
    const auto [code, text] =
        error_of([&] { read_cpio(std::string_view{archive}.substr(0, length), "old/initramfs"); });
    REQUIRE(code == ErrorCode::Corrupt);
    REQUIRE(text.find("'old/initramfs' is torn") != std::string::npos);
  }
}

TEST_CASE("a cpio entry whose name has no room for its NUL, or reaches beyond the end, is torn") {
  const auto with_name_bytes = [](const char* digits) {
    std::string archive = sample();
    archive.replace(6 + 8 * 11, 8, digits);
    return archive;
  };
  for (const char* digits : {"00000000", "ffffffff", "0000ffff"}) {
    CAPTURE(digits);
    const auto [code, text] = error_of([&] { read_cpio(with_name_bytes(digits), "old/initramfs"); });
    CHECK(code == ErrorCode::Corrupt);
    CHECK(text.find("torn at byte 0") != std::string::npos);
  }
}

TEST_CASE("cpio content that claims more than there is, is torn") {
  std::string archive = sample();
  archive.replace(6 + 8 * 6, 8, "ffffffff");
  const auto [code, text] = error_of([&] { read_cpio(archive, "old/initramfs"); });
  CHECK(code == ErrorCode::Corrupt);
  CHECK(text.find("torn at byte 0") != std::string::npos);
}
