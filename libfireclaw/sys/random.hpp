#pragma once

#include <cstddef>
#include <span>
#include <string>

namespace fireclaw::sys {

/// Fills `bytes` from the kernel's generator.
void random_bytes(std::span<std::byte> bytes);
/// `bytes` random bytes as lower-case hexadecimal digits.
std::string random_hex(std::size_t bytes);

}  // namespace fireclaw::sys
