#include <doctest/doctest.h>
#include <sys/mount.h>

#include <cstdlib>
#include <iostream>

#include "sys/testing/support.hpp"

using namespace fireclaw;
using namespace fireclaw::sys;
using namespace fireclaw::sys::testing;

TEST_CASE("a full disk is named as the reason, the old file stays and nothing half-written is left") {
  const TempDir folder = temp_dir();
  // The helper mounts a file system of 64 KiB there, seen by nobody else.
  Helper helper = Helper::start({"write-to-full-disk", folder.path()});
  const std::string first = read_line(helper.output.get());
  if (first.empty() && helper.end().code == 77) {
    std::cout << "skipped: this machine does not permit a mount namespace of one's own\n";
    std::exit(77);
  }
  const std::string record = folder.path() / "record.json";
  CHECK(first == "write '" + record + "': no space left on device (the disk is full)");
  CHECK(read_line(helper.output.get()) == "old");
  const std::string second = read_line(helper.output.get());
  CHECK(second.starts_with("copy '/proc/self/fd/"));
  CHECK(second.find((folder.path() / "copy").string()) != std::string::npos);
  CHECK(second.ends_with("no space left on device (the disk is full)"));
  CHECK(read_line(helper.output.get()) == "1 file");
  CHECK(helper.end().success());
}
