#include "vmm/firecracker/sandbox.hpp"

#include <algorithm>

namespace fireclaw::vmm::firecracker {
namespace {

/// What a saved machine's memory file may hold beside the memory.
constexpr std::uint64_t memory_margin_bytes = std::uint64_t{16} << 20;

}  // namespace

sys::Sandbox to_sandbox(const SandboxGround& ground, const LaunchSpec& spec, const SnapshotFiles* restored) {
  auto plan = machine_sandbox(ground, spec);
  plan.limits.file_bytes =
      std::max(plan.limits.file_bytes, (std::uint64_t{spec.memory_mib} << 20) + memory_margin_bytes);
  show_writable(plan, spec.run_dir);
  show_device(plan, "/dev/kvm");
  if (restored != nullptr) {
    show(plan, restored->state);
    show(plan, restored->memory);
  } else {
    show(plan, spec.kernel.file);
    if (!spec.initramfs.empty()) show(plan, spec.initramfs);
  }
  if (!spec.nics.empty()) {
    // It opens taps by their names, which are the host's.
    plan.own_network = false;
    show_device(plan, "/dev/net/tun");
  }
  return plan;
}

}  // namespace fireclaw::vmm::firecracker
