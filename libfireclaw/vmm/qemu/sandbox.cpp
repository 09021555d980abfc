#include "vmm/qemu/sandbox.hpp"

#include <string_view>
#include <variant>

namespace fireclaw::vmm::qemu {
namespace {

using Kind = sys::SandboxEntry::Kind;

/// What QEMU reads when it starts: firmware and option ROMs.
void show_data(sys::Sandbox& plan, const std::filesystem::path& binary) {
  const auto add = [&](const std::filesystem::path& folder) {
    for (const auto& entry : plan.entries) {
      if (entry.path == folder) return;
    }
    plan.entries.push_back({Kind::ReadOnly, folder, true});
  };
  const auto prefix = binary.parent_path().parent_path();
  // One that was installed elsewhere brings its libraries along.
  if (prefix.has_relative_path() && prefix != "/usr") {
    add(prefix / "lib");
    add(prefix / "lib64");
    add(prefix / "share");
    if (binary.native().starts_with("/nix/store/")) add("/nix/store");
  }
  add("/usr/share/qemu");
  add("/usr/share/seabios");
}

/// QEMU's user-mode network makes the host's connections, and asks its name server.
void show_network(sys::Sandbox& plan) {
  constexpr const char* resolver = "/etc/resolv.conf";
  plan.own_network = false;
  std::error_code none;
  if (!std::filesystem::is_symlink(resolver, none)) {
    plan.entries.push_back({Kind::ReadOnly, resolver, true});
    return;
  }
  plan.entries.push_back({Kind::Link, resolver, true});
  if (const auto target = std::filesystem::canonical(resolver, none); !none) {
    plan.entries.push_back({Kind::ReadOnly, target, true});
  }
}

void show_machine(sys::Sandbox& plan, const LaunchSpec& spec, const Engine& engine) {
  show_data(plan, engine.binary);
  plan.entries.push_back({Kind::Folder, spec.run_dir});
  // Memory and console are opened again by their numbers.
  show(plan, "/proc/self/fd");
  switch (engine.accelerator) {
    case Accelerator::Kvm: show_device(plan, "/dev/kvm"); break;
    case Accelerator::Tcg: break;
  }
}

}  // namespace

sys::Sandbox to_sandbox(const SandboxGround& ground, const LaunchSpec& spec, const Engine& engine, Start start) {
  auto plan = machine_sandbox(ground, spec);
  show_machine(plan, spec, engine);
  switch (start) {
    case Start::Cold:
      show(plan, spec.kernel.file);
      show(plan, spec.initramfs);
      break;
    case Start::Restore: break;
  }
  for (const auto& nic : spec.nics) {
    if (std::holds_alternative<UserBackend>(nic.backend)) show_network(plan);
  }
  return plan;
}

sys::Sandbox stand_in_sandbox(const SandboxGround& ground, const LaunchSpec& spec, const Engine& engine) {
  auto plan = machine_sandbox(ground, spec);
  show_machine(plan, spec, engine);
  return plan;
}

}  // namespace fireclaw::vmm::qemu
