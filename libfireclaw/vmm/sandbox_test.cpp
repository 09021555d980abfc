#include "vmm/sandbox.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <string>

#include "sys/file.hpp"
#include "sys/folder.hpp"

namespace fireclaw::vmm {
namespace {

struct Fixture {
  sys::TempDir folder{std::filesystem::temp_directory_path(), "fireclaw-sandbox-"};
  LaunchSpec spec;

  Fixture() {
    spec.run_dir = folder.path() / "engine";
    sys::make_folder(spec.run_dir);
    spec.drives = {{"rootfs", make("rootfs"), true}, {"scratch", make("scratch"), false}};
    spec.user = 300000;
  }
  [[nodiscard]] std::filesystem::path make(const std::string& name) const {
    sys::write_file_atomic(folder.path() / name, "x", 0600);
    return folder.path() / name;
  }
  [[nodiscard]] mode_t mode_of(const std::string& name) const {
    struct stat status {};
    REQUIRE(::lstat((folder.path() / name).c_str(), &status) == 0);
    return status.st_mode & 07777;
  }
};

TEST_CASE_FIXTURE(Fixture, "an engine with a user of its own is lent what it reads, and what it writes") {
  lend_drives(spec);
  CHECK(mode_of("rootfs") == 0644);
  CHECK(mode_of("scratch") == 0666);
  lend_to_read(spec, make("kernel"));
  CHECK(mode_of("kernel") == 0644);
  sys::write_file_atomic(spec.run_dir / "socket", "x", 0600);
  lend_folder(spec);
  CHECK(mode_of("engine") == 0777);
  CHECK(mode_of("engine/socket") == 0666);
}

TEST_CASE_FIXTURE(Fixture, "an engine of the caller's user is lent nothing") {
  spec.user.reset();
  lend_drives(spec);
  lend_folder(spec);
  CHECK(mode_of("rootfs") == 0600);
  CHECK(mode_of("scratch") == 0600);
  CHECK(mode_of("engine") == 0700);
}

TEST_CASE_FIXTURE(Fixture, "what an earlier engine's links lead to is not lent") {
  const auto secret = make("secret");
  std::filesystem::create_symlink(secret, spec.run_dir / "link");
  lend_folder(spec);
  CHECK(mode_of("secret") == 0600);
  lend_to_write(spec, spec.run_dir / "link");
  CHECK(mode_of("secret") == 0600);
}

TEST_CASE_FIXTURE(Fixture,
                  "a file may grow to what the largest drive is that can be written, and a state that is saved") {
  CHECK(machine_sandbox(look_at_ground(sys::Confinement::None, "/bin/true", spec), spec).limits.file_bytes ==
        std::uint64_t{64} << 20);
  REQUIRE(::truncate((folder.path() / "scratch").c_str(), 1 << 30) == 0);
  REQUIRE(::truncate((folder.path() / "rootfs").c_str(), std::int64_t{1} << 31) == 0);
  CHECK(machine_sandbox(look_at_ground(sys::Confinement::None, "/bin/true", spec), spec).limits.file_bytes == 1 << 30);
}

}  // namespace
}  // namespace fireclaw::vmm
