#include "boot/options.hpp"

#include <doctest/doctest.h>

namespace fireclaw::guestd {
namespace {

TEST_CASE("without a word of ours commands run in the initramfs") {
  const BootOptions options = parse_boot_options("console=ttyS0 quiet reboot=t panic=-1\n");
  CHECK(options.rootfs.empty());
  CHECK(options.root_device == "/dev/vda");
  CHECK(options.mounts.empty());
  CHECK(options.problems.empty());
  CHECK_FALSE(options.trace);
}

TEST_CASE("all settings are read, wherever they stand") {
  const BootOptions options = parse_boot_options(
      "fireclaw.rootfs=squashfs quiet fireclaw.root=/dev/vdz fireclaw.overlay_mib=512 fireclaw.scratch=/dev/vdb "
      "fireclaw.mounts=/dev/vdc:/workspace,/dev/vdd:/data:ro:erofs\tfireclaw.trace=1\n");
  CHECK(options.problems.empty());
  CHECK(options.rootfs == "squashfs");
  CHECK(options.root_device == "/dev/vdz");
  CHECK(options.overlay_mib == 512);
  CHECK(options.scratch_device == "/dev/vdb");
  CHECK(options.trace);
  REQUIRE(options.mounts.size() == 2);
  CHECK(options.mounts[0].device == "/dev/vdc");
  CHECK(options.mounts[0].target == "/workspace");
  CHECK(options.mounts[0].type == "ext4");
  CHECK_FALSE(options.mounts[0].read_only);
  CHECK(options.mounts[1].target == "/data");
  CHECK(options.mounts[1].type == "erofs");
  CHECK(options.mounts[1].read_only);
}

TEST_CASE("the largest overlay there can be is read, and no larger one") {
  const auto largest = parse_boot_options("fireclaw.overlay_mib=16777216");
  CHECK(largest.problems.empty());
  CHECK(largest.overlay_mib == 16777216);
  for (const std::string_view larger : {"16777217", "18446744073709551616", "99999999999999999999999"}) {
    CHECK(parse_boot_options("fireclaw.overlay_mib=" + std::string{larger}).problems.size() == 1);
  }
}

TEST_CASE("the shortest device and the shortest place are ones") {
  const auto options = parse_boot_options("fireclaw.root=/dev/a fireclaw.mounts=/dev/b:/c");
  CHECK(options.problems.empty());
  CHECK(options.root_device == "/dev/a");
  CHECK(options.mounts.at(0).target == "/c");
}

TEST_CASE("what makes no sense is reported and the rest still counts") {
  for (const std::string_view word :
       {"fireclaw.rootfs=", "fireclaw.root=vda", "fireclaw.root=/dev/", "fireclaw.root=/sys/vda",
        "fireclaw.mounts=vdc:/x", "fireclaw.mounts=vdc:/x,/dev/vdd:/y", "fireclaw.overlay_mib=lots",
        "fireclaw.overlay_mib=-1", "fireclaw.scratch=", "fireclaw.mounts=/dev/vdc",
        "fireclaw.mounts=/dev/vdc:workspace", "fireclaw.mounts=/dev/vdc:/", "fireclaw.unknown=1", "fireclaw."}) {
    CAPTURE(word);
    const BootOptions options = parse_boot_options(std::string{word} + " fireclaw.trace=1");
    REQUIRE(options.problems.size() == 1);
    CHECK(options.problems[0] == "the kernel command line has '" + std::string{word} + "', which makes no sense");
    CHECK(options.trace);
  }
}

}  // namespace
}  // namespace fireclaw::guestd
