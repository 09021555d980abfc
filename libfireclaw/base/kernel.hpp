#pragma once

#include <string_view>

/// The facts about a kernel that an image records and an engine needs.
namespace fireclaw {

enum class KernelFormat { Elf, BzImage };
/// How the guest kernel finds its virtio devices.
enum class VirtioBus { Mmio, Pci };

constexpr std::string_view to_string(KernelFormat format) noexcept {
  return format == KernelFormat::Elf ? "elf" : "bzimage";
}
constexpr std::string_view to_string(VirtioBus bus) noexcept { return bus == VirtioBus::Mmio ? "mmio" : "pci"; }

}  // namespace fireclaw
