#include "vmm/spec.hpp"

namespace fireclaw::vmm {

std::string_view to_string(KernelFormat format) noexcept {
  switch (format) {
    case KernelFormat::Elf: return "elf";
    case KernelFormat::BzImage: return "bzimage";
  }
  return "unknown";
}

std::string_view to_string(VirtioBus bus) noexcept {
  switch (bus) {
    case VirtioBus::Mmio: return "mmio";
    case VirtioBus::Pci: return "pci";
  }
  return "unknown";
}

std::string_view to_string(Accelerator accelerator) noexcept {
  switch (accelerator) {
    case Accelerator::Kvm: return "kvm";
    case Accelerator::Tcg: return "tcg";
  }
  return "unknown";
}

}  // namespace fireclaw::vmm
