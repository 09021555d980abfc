#pragma once

#include <cstdint>

namespace fireclaw {

/// Bytes in a MiB.
inline constexpr std::uint64_t mib = std::uint64_t{1} << 20;

}  // namespace fireclaw
