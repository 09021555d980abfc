// Engines that are missing, crash, hang or are something else: small scripts in QEMU's place.
#include <doctest/doctest.h>
#include <sys/stat.h>

#include <chrono>
#include <functional>
#include <string>

#include "fireclaw/error.hpp"
#include "sys/file.hpp"
#include "sys/process.hpp"
#include "sys/testing/outcome.hpp"
#include "vmm/qemu/driver.hpp"

using namespace fireclaw;
using namespace fireclaw::vmm;
using sys::testing::thrown_by;

namespace {

Deadline within(std::chrono::milliseconds limit) { return Deadline::after(std::chrono::nanoseconds{limit}); }
constexpr std::chrono::milliseconds plenty{20'000};
constexpr std::chrono::milliseconds little{300};

struct Fixture {
  sys::TempDir folder{"/tmp", "fireclaw-qemu-"};
  LaunchSpec spec;

  Fixture() {
    spec.id = "run-1";
    spec.run_dir = folder.path() / "run";
    sys::make_directories(spec.run_dir);
    spec.kernel.file = folder.path() / "kernel";
    spec.initramfs = folder.path() / "initramfs";
    sys::write_file_atomic(spec.kernel.file, "kernel");
    sys::write_file_atomic(spec.initramfs, "initramfs");
  }

  std::filesystem::path script(const std::string& body) {
    auto path = folder.path() / "qemu-system-x86_64";
    sys::write_file_atomic(path, "#!/bin/sh\n" + body, 0755);
    return path;
  }
  std::unique_ptr<Driver> driver(const std::filesystem::path& binary) {
    return qemu::make_driver({binary, "7.2.22", Accelerator::Tcg, "max", Logger{}});
  }
  Error launch_error(const std::string& body, std::chrono::milliseconds limit) {
    const auto engine = driver(script(body));
    return thrown_by([&] { (void)engine->launch(spec, {within(limit), {}, {}}); });
  }
  // Whether a process of this machine's is left: it would have the run folder as its working directory.
  bool engine_left() {
    for (const auto& entry : std::filesystem::directory_iterator{"/proc"}) {
      std::error_code error;
      if (std::filesystem::read_symlink(entry.path() / "cwd", error) == spec.run_dir) return true;
    }
    return false;
  }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "a missing engine is named") {
  const auto error = thrown_by([&] { (void)driver("/nowhere/qemu")->launch(spec, {within(plenty), {}, {}}); });
  CHECK(error.code() == ErrorCode::NotFound);
  CHECK(std::string{error.what()}.find("/nowhere/qemu") != std::string::npos);
}

TEST_CASE_FIXTURE(Fixture, "an engine that crashes at start tells why, and long before the deadline") {
  const auto start = std::chrono::steady_clock::now();
  auto error = launch_error("echo 'qemu: could not access KVM' >&2\nexit 3\n", plenty);
  CHECK(error.code() == ErrorCode::Vmm);
  CHECK(error.message() == "QEMU exited with status 3; log: qemu: could not access KVM");
  std::filesystem::remove_all(spec.run_dir);
  sys::make_directories(spec.run_dir);
  error = launch_error("echo one; echo two >&2\nkill -ABRT $$\n", plenty);
  CHECK(error.message() == "QEMU was killed by signal 6; log: one | two");
  CHECK(std::chrono::steady_clock::now() - start < plenty / 2);
}

TEST_CASE_FIXTURE(Fixture, "an engine that prints without end fills no disk, and its error is short") {
  const auto error = launch_error("yes 'a line of noise' | head -n 1000000 >&2\nexit 3\n", plenty);
  CHECK(error.code() == ErrorCode::Vmm);
  CHECK(error.message().starts_with("QEMU exited with status 3; log: "));
  CHECK(error.message().find("a line of noise | a line of noise") != std::string::npos);
  CHECK(error.message().size() < 4096);
  for (const auto& entry : std::filesystem::directory_iterator{spec.run_dir}) {
    CAPTURE(entry.path());
    CHECK(sys::allocated_bytes(entry.path()) < 4096);
  }
}

TEST_CASE_FIXTURE(Fixture, "an engine that hangs is ended at the deadline, also one that was to be detached") {
  for (const bool owned : {true, false}) {
    CAPTURE(owned);
    spec.die_with_parent = owned;
    const auto error = launch_error("echo 'still thinking'\nexec sleep 100\n", little);
    CHECK(error.code() == ErrorCode::Timeout);
    CHECK(std::string{error.what()}.find("still thinking") != std::string::npos);
    CHECK_FALSE(engine_left());
    std::filesystem::remove_all(spec.run_dir);
    sys::make_directories(spec.run_dir);
  }
}

TEST_CASE_FIXTURE(Fixture, "starting can be stopped") {
  const auto engine = driver(script("exec sleep 100\n"));
  std::stop_source stop;
  stop.request_stop();
  const auto error = thrown_by([&] { (void)engine->launch(spec, {within(plenty), stop.get_token(), {}}); });
  CHECK(error.code() == ErrorCode::Cancelled);
  CHECK_FALSE(engine_left());
}

TEST_CASE_FIXTURE(Fixture, "files that are missing and numbers that cannot be are refused before anything is started") {
  const auto engine = driver(script("touch started\nexec sleep 100\n"));
  const auto refusal = [&](const std::function<void(LaunchSpec&)>& spoil) {
    auto spoilt = spec;
    spoil(spoilt);
    return thrown_by([&] { (void)engine->launch(spoilt, {within(plenty), {}, {}}); });
  };
  auto error = refusal([](LaunchSpec& s) { s.kernel.file = "/nowhere/kernel"; });
  CHECK(error.code() == ErrorCode::NotFound);
  CHECK(error.message() == "the kernel '/nowhere/kernel': no such file or directory");
  CHECK(refusal([](LaunchSpec& s) { s.initramfs = "/nowhere/initramfs"; }).code() == ErrorCode::NotFound);
  CHECK(refusal([](LaunchSpec& s) { s.drives = {{"d", "/nowhere/disk", true}}; }).code() == ErrorCode::NotFound);
  CHECK(refusal([](LaunchSpec& s) { s.vcpus = 0; }).code() == ErrorCode::InvalidArgument);
  CHECK(refusal([](LaunchSpec& s) { s.vcpus = 33; }).code() == ErrorCode::InvalidArgument);
  CHECK(refusal([](LaunchSpec& s) { s.memory_mib = 0; }).code() == ErrorCode::InvalidArgument);
  CHECK_FALSE(std::filesystem::exists(spec.run_dir / "started"));
}

TEST_CASE_FIXTURE(Fixture, "a run folder holds one machine at a time") {
  const auto engine = driver(script("exec sleep 100\n"));
  sys::write_file_atomic(spec.run_dir / "qmp.sock", "in the way");
  const auto error = thrown_by([&] { (void)engine->launch(spec, {within(plenty), {}, {}}); });
  CHECK(error.code() == ErrorCode::AlreadyExists);
}

TEST_CASE_FIXTURE(Fixture, "a version is asked for, and a program that answers otherwise is not a QEMU") {
  const auto version = [&](const std::string& body) { return qemu::binary_version(script(body), within(plenty)); };
  CHECK(version("echo 'QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)'\n") == "7.2.22");
  CHECK(version("echo 'QEMU emulator version 10.0.2'\necho 'Copyright (c)'\n") == "10.0.2");
  const auto problem = [&](const std::string& body) { return thrown_by([&] { (void)version(body); }).code(); };
  CHECK(problem("echo 'QEMU emulator version 5.2.0'\n") == ErrorCode::Unsupported);
  CHECK(problem("echo 'QEMU emulator version banana'\n") == ErrorCode::Vmm);
  CHECK(problem("echo 'Firecracker v1.15.0'\n") == ErrorCode::Vmm);
  CHECK(problem("exit 1\n") == ErrorCode::Vmm);
  CHECK(thrown_by([&] { (void)qemu::binary_version("/nowhere/qemu", within(plenty)); }).code() == ErrorCode::NotFound);
  const auto hanging = script("exec sleep 100\n");
  CHECK(thrown_by([&] { (void)qemu::binary_version(hanging, within(little)); }).code() == ErrorCode::Timeout);
}
