#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "image/store/manifest.hpp"
#include "image/tools.hpp"

namespace fireclaw::image {

/// Finds out what kind of kernel a file is. Error(InvalidArgument) "not a kernel" / "truncated"; Error(Unsupported)
/// for a kernel of another architecture. `source` is left empty. A bzImage's insides are packed, so its bus is Pci,
/// as distributions have it; inspect what extract_vmlinux() makes of it to be sure.
KernelInfo inspect_kernel(const std::filesystem::path& file);

/// The same for a kernel in memory, without its digest; `name` is for errors.
KernelInfo inspect_kernel_bytes(std::string_view bytes, std::string_view name);

/// The virtio drivers in an unpacked kernel, judged by the names that drivers leave in it.
struct BuiltinVirtio {
  bool mmio_by_command_line = false;
  bool pci = false;
};
BuiltinVirtio find_builtin_virtio(std::string_view vmlinux);

/// Where the packed kernel lies in a bzImage.
struct Payload {
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
};
/// Error(InvalidArgument) if `bytes` is not a bzImage or is truncated, Error(Unsupported) if it has no payload.
Payload find_payload(std::string_view bytes, std::string_view name);

/// Unpacks a bzImage's kernel, an ELF file, into `target` (which must not exist; zero pages become holes).
void extract_vmlinux(const std::filesystem::path& bzimage, const std::filesystem::path& target, const Tools& tools);

}  // namespace fireclaw::image
