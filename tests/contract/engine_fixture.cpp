#include "contract/engine_fixture.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <array>

#include "fireclaw/error.hpp"
#include "sys/fd.hpp"
#include "sys/poll.hpp"

namespace fireclaw::contract {

EngineFixture::EngineFixture() : directory{"/tmp", "fireclaw-engine"}, program{directory.path() / "firecracker"} {
  std::filesystem::create_symlink(FAKE_FIRECRACKER, program);
  set_knobs("");
  sys::write_file_atomic(directory.path() / "vmlinux", "kernel");
  sys::write_file_atomic(directory.path() / "rootfs", "root");
}

void EngineFixture::set_knobs(const std::string& knobs) const {
  sys::write_file_atomic(program.string() + ".knobs", fmt::format("owner={}\n{}", ::getpid(), knobs));
}

std::unique_ptr<vmm::Driver> EngineFixture::driver(const std::string& version) const {
  return vmm::firecracker::make_driver({program, version, {}});
}

vmm::LaunchSpec EngineFixture::spec(const std::string& id) const {
  vmm::LaunchSpec spec;
  spec.id = id;
  spec.run_dir = directory.path() / "runs" / id;
  sys::make_directories(spec.run_dir);
  sys::write_file_atomic(spec.run_dir / "disk.img", id);
  spec.kernel = {directory.path() / "vmlinux", KernelFormat::Elf, VirtioBus::Mmio};
  spec.drives = {{"rootfs", directory.path() / "rootfs", true}, {"scratch", spec.run_dir / "disk.img", false}};
  spec.memory_mib = 16;
  return spec;
}

vmm::SnapshotFiles EngineFixture::files(const std::string& name) const {
  return {directory.path() / (name + ".state"), directory.path() / (name + ".memory")};
}

vmm::StartOptions EngineFixture::soon() const { return {Deadline::after(std::chrono::seconds{20}), {}, {}}; }

std::string read_line(int stream, std::chrono::milliseconds limit) {
  const auto deadline = Deadline::after(limit);
  std::string line;
  while (!line.ends_with('\n')) {
    if (sys::wait_fd(stream, POLLIN, deadline) != sys::WaitResult::Ready) return {};
    std::array<std::byte, 1> byte{};
    try {
      if (sys::read_some(stream, byte) != 1) return {};
    } catch (const Error&) {
      return {};
    }
    line += static_cast<char>(byte[0]);
  }
  return line;
}

std::string round_trip(int stream, std::string_view line) {
  try {
    sys::write_all(stream, line);
  } catch (const Error&) {
    return {};
  }
  return read_line(stream, std::chrono::seconds{10});
}

ErrorCode failure(const std::function<void()>& action, std::string* what) {
  try {
    action();
  } catch (const Error& error) {
    if (what != nullptr) *what = error.what();
    return error.code();
  }
  FAIL_CHECK("did not fail");
  return ErrorCode::Internal;
}

}  // namespace fireclaw::contract
