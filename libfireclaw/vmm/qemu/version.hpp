#pragma once

#include <compare>
#include <string>
#include <string_view>

namespace fireclaw::vmm::qemu {

struct Version {
  unsigned major = 0;
  unsigned minor = 0;
  unsigned micro = 0;

  auto operator<=>(const Version&) const = default;
};

/// The oldest that is known to do all that this driver asks for.
inline constexpr Version oldest_version{7, 2, 0};
/// From here on several guest CPUs may be emulated side by side: before, a CPU can continue running a translation of an
/// instruction that another one has patched, and the guest hangs.
inline constexpr Version parallel_tcg_version{8, 1, 0};

/// Whether RAM can be a private copy of a file that is opened for reading only (memory-backend-file's "rom").
constexpr bool opens_memory_to_read(const Version& version) { return version >= Version{8, 2, 0}; }

/// "7.2.22" or "10.0.50-rc1". Error(Vmm) if it is not a version, Error(Unsupported) if it is too old.
Version parse_version(std::string_view text);

}  // namespace fireclaw::vmm::qemu
