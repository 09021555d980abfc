#include "vmm/qemu/sandbox.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>

namespace fireclaw::vmm::qemu {
namespace {

using Kind = sys::SandboxEntry::Kind;

LaunchSpec machine() {
  LaunchSpec spec;
  spec.id = "run-1";
  spec.run_dir = "/home/runs/1/engine";
  spec.kernel = {"/home/images/i/kernel", KernelFormat::BzImage, VirtioBus::Pci};
  spec.initramfs = "/home/images/i/initramfs";
  spec.drives = {{"rootfs", "/home/images/i/rootfs", true}, {"workspace", "/home/workspaces/w/disk.ext4", false}};
  spec.user = 1900000007;
  spec.cgroup = "/sys/fs/cgroup/fireclaw/1";
  return spec;
}

SandboxGround ground() {
  return {sys::Confinement::Full, {{Kind::ReadOnly, "/usr/bin/qemu-system-x86_64"}}, std::uint64_t{8} << 30};
}

Engine engine(Accelerator accelerator) { return {"/usr/bin/qemu-system-x86_64", {10, 0, 2}, accelerator, "max", 0}; }

std::string as_text(const sys::Sandbox& plan) {
  std::string text;
  for (const auto& line : sys::describe(plan)) text += line + "\n";
  return text;
}

bool shows(const sys::Sandbox& plan, const std::filesystem::path& path) {
  return std::ranges::any_of(plan.entries, [&](const sys::SandboxEntry& entry) { return entry.path == path; });
}

TEST_CASE("QEMU sees its program, its firmware, its drives, and nothing of the machine's folder") {
  CHECK(as_text(to_sandbox(ground(), machine(), engine(Accelerator::Kvm), Start::Cold)) == R"(level full
namespaces user mnt pid ipc uts net
user 1900000007
capabilities none, no new privileges
limits file 8589934592 open 2048 locked 65536 core 0
cgroup /sys/fs/cgroup/fireclaw/1
read /usr/bin/qemu-system-x86_64
device /dev/null
device /dev/zero
device /dev/random
device /dev/urandom
read /home/images/i/rootfs
write /home/workspaces/w/disk.ext4
read /usr/share/qemu if it is there
read /usr/share/seabios if it is there
folder /home/runs/1/engine
read /proc/self/fd
device /dev/kvm
read /home/images/i/kernel
read /home/images/i/initramfs
)");
}

TEST_CASE("a restored machine needs no kernel, and an emulated one no KVM") {
  const auto plan = to_sandbox(ground(), machine(), engine(Accelerator::Tcg), Start::Restore);
  CHECK_FALSE(shows(plan, "/home/images/i/kernel"));
  CHECK_FALSE(shows(plan, "/home/images/i/initramfs"));
  CHECK_FALSE(shows(plan, "/dev/kvm"));
}

TEST_CASE("only a user-mode network shares the host's") {
  auto spec = machine();
  spec.nics = {{"eth0", "02:fc:00:00:00:01", TapBackend{"fc0", 20}}};
  CHECK(to_sandbox(ground(), spec, engine(Accelerator::Tcg), Start::Cold).own_network);
  spec.nics = {{"eth0", "02:fc:00:00:00:01", NoBackend{}}};
  CHECK(to_sandbox(ground(), spec, engine(Accelerator::Tcg), Start::Cold).own_network);
  spec.nics = {{"eth0", "02:fc:00:00:00:01", UserBackend{}}};
  const auto plan = to_sandbox(ground(), spec, engine(Accelerator::Tcg), Start::Cold);
  CHECK_FALSE(plan.own_network);
  CHECK(shows(plan, "/etc/resolv.conf"));
}

TEST_CASE("a QEMU of another place brings its libraries and firmware along") {
  auto other = engine(Accelerator::Tcg);
  other.binary = "/opt/qemu/bin/qemu-system-x86_64";
  const auto plan = to_sandbox(ground(), machine(), other, Start::Cold);
  CHECK(shows(plan, "/opt/qemu/share"));
  CHECK(shows(plan, "/opt/qemu/lib"));
  other.binary = "/qemu-system-x86_64";
  CHECK_FALSE(shows(to_sandbox(ground(), machine(), other, Start::Cold), "/share"));
}

TEST_CASE("a stand-in has no drives of the machine's") {
  LaunchSpec spec;
  spec.run_dir = "/home/runs/1/engine";
  const auto plan = stand_in_sandbox(ground(), spec, engine(Accelerator::Kvm));
  CHECK(plan.own_network);
  CHECK(shows(plan, "/dev/kvm"));
  CHECK(std::ranges::none_of(plan.entries, [](const auto& entry) { return entry.kind == Kind::ReadWrite; }));
}

TEST_CASE("a small machine may still write its state") {
  auto small = ground();
  small.drive_bytes = 4096;
  CHECK(to_sandbox(small, machine(), engine(Accelerator::Tcg), Start::Cold).limits.file_bytes == std::uint64_t{64}
                                                                                                     << 20);
}

}  // namespace
}  // namespace fireclaw::vmm::qemu
