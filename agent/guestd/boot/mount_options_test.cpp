#include <doctest/doctest.h>
#include <sys/mount.h>

#include <cerrno>
#include <string>

#include "boot/disks.hpp"

namespace fireclaw::guestd {
namespace {

wire::Mount some_mount() { return {"/dev/vdb", "/workspace", "ext4", false, "nosuid"}; }

int error_with(void (*change)(wire::Mount&)) {
  wire::Mount mount = some_mount();
  change(mount);
  return check_mount(mount).error;
}

}  // namespace

TEST_CASE("options of a mount are flags where the kernel has one, and the file system's own otherwise") {
  const MountOptions none = parse_mount_options("");
  CHECK(none.flags == 0);
  CHECK(none.data.empty());
  const MountOptions some = parse_mount_options("nosuid,commit=30,nodev,noatime,,errors=remount-ro");
  CHECK(some.flags == (MS_NOSUID | MS_NODEV | MS_NOATIME));
  CHECK(some.data == "commit=30,errors=remount-ro");
}

TEST_CASE("only disks are mounted, and only below the root") {
  CHECK(check_mount(some_mount()).error == 0);
  CHECK(error_with([](auto& m) { m.device = "/etc/passwd"; }) == EINVAL);
  CHECK(error_with([](auto& m) { m.device = "/dev/../etc/passwd"; }) == EINVAL);
  CHECK(error_with([](auto& m) { m.device = "/dev/"; }) == EINVAL);
  CHECK(error_with([](auto& m) { m.target = "/"; }) == EINVAL);
  CHECK(error_with([](auto& m) { m.target = ""; }) == EINVAL);
  CHECK(error_with([](auto& m) { m.target = "/a/"; }) == EINVAL);
  CHECK(error_with([](auto& m) { m.target = "/a"; }) == 0);
  CHECK(error_with([](auto& m) { m.target = "workspace"; }) == EINVAL);
  CHECK(error_with([](auto& m) { m.target = "/a/../.."; }) == EINVAL);
  CHECK(error_with([](auto& m) { m.target = std::string("/a\0b", 4); }) == EINVAL);
  CHECK(error_with([](auto& m) { m.type = ""; }) == EINVAL);
  CHECK(error_with([](auto& m) { m.type = "../x"; }) == EINVAL);
  CHECK(error_with([](auto& m) { m.options = std::string("a\0b", 3); }) == EINVAL);
  CHECK(check_unmount({"/workspace"}).error == 0);
  CHECK(check_unmount({"/"}).error == EINVAL);
  CHECK(check_unmount({"x"}).error == EINVAL);
}

}  // namespace fireclaw::guestd
