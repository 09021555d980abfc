#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace fireclaw::image {

/// The little-endian number at `offset`, or nullopt if `bytes` ends before it does.
template <typename T>
std::optional<T> load_le(std::string_view bytes, std::uint64_t offset) {
  if (offset > bytes.size() || bytes.size() - offset < sizeof(T)) return std::nullopt;
  T value = 0;
  for (std::size_t i = sizeof(T); i > 0; --i) {
    value = static_cast<T>((static_cast<std::uint64_t>(value) << 8) |
                           static_cast<unsigned char>(bytes[static_cast<std::size_t>(offset) + i - 1]));
  }
  return value;
}

/// Whether [offset, offset + length) lies within `size` bytes; safe from overflow.
inline bool within(std::uint64_t offset, std::uint64_t length, std::uint64_t size) {
  return offset <= size && length <= size - offset;
}

}  // namespace fireclaw::image
