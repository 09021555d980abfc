#include "vmm/firecracker/sandbox.hpp"

#include <doctest/doctest.h>

#include <algorithm>

namespace fireclaw::vmm::firecracker {
namespace {

using Kind = sys::SandboxEntry::Kind;

LaunchSpec machine() {
  LaunchSpec spec;
  spec.id = "run-1";
  spec.run_dir = "/home/runs/1/engine";
  spec.kernel = {"/home/images/i/vmlinux", KernelFormat::Elf, VirtioBus::Mmio};
  spec.initramfs = "/home/images/i/initramfs";
  spec.drives = {{"rootfs", "/home/images/i/rootfs", true}, {"scratch", "/home/runs/1/scratch.img", false}};
  spec.memory_mib = 4096;
  return spec;
}

const SandboxGround ground{sys::Confinement::Full, {{Kind::ReadOnly, "/opt/firecracker"}}, 1 << 20};

std::string as_text(const sys::Sandbox& plan) {
  std::string text;
  for (const auto& line : sys::describe(plan)) text += line + "\n";
  return text;
}

TEST_CASE("Firecracker writes in its folder and on its drives, and may save all of its memory") {
  CHECK(as_text(to_sandbox(ground, machine(), nullptr)) == R"(level full
namespaces user mnt pid ipc uts net
user of the caller
capabilities none, no new privileges
limits file 4311744512 open 2048 locked 65536 core 0
read /opt/firecracker
device /dev/null
device /dev/zero
device /dev/random
device /dev/urandom
read /home/images/i/rootfs
write /home/runs/1/scratch.img
write /home/runs/1/engine
device /dev/kvm
read /home/images/i/vmlinux
read /home/images/i/initramfs
)");
}

TEST_CASE("a restored Firecracker reads its snapshot, and one with a tap is in the host's network") {
  auto spec = machine();
  spec.nics = {{"eth0", "02:fc:00:00:00:01", TapBackend{"fc0"}}};
  const SnapshotFiles files{"/home/snapshots/s/state", "/home/snapshots/s/memory"};
  const auto plan = to_sandbox(ground, spec, &files);
  const auto has = [&](Kind kind, const char* path) {
    return std::ranges::count(plan.entries, sys::SandboxEntry{kind, path}) == 1;
  };
  CHECK(has(Kind::ReadOnly, "/home/snapshots/s/state"));
  CHECK(has(Kind::ReadOnly, "/home/snapshots/s/memory"));
  CHECK_FALSE(has(Kind::ReadOnly, "/home/images/i/vmlinux"));
  CHECK(has(Kind::Device, "/dev/net/tun"));
  CHECK_FALSE(plan.own_network);
}

}  // namespace
}  // namespace fireclaw::vmm::firecracker
