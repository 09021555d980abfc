#include "sys/random.hpp"

#include <sys/random.h>

#include <vector>

#include "sys/fd.hpp"

namespace fireclaw::sys {

void random_bytes(std::span<std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t got = check(retry([&] { return ::getrandom(bytes.data(), bytes.size(), 0); }), "read random bytes");
    bytes = bytes.subspan(static_cast<std::size_t>(got));
  }
}

std::string random_hex(std::size_t bytes) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::vector<std::byte> raw(bytes);
  random_bytes(raw);
  std::string text;
  text.reserve(2 * bytes);
  for (const std::byte byte : raw) {
    text += digits[std::to_integer<unsigned>(byte) >> 4];
    text += digits[std::to_integer<unsigned>(byte) & 0xf];
  }
  return text;
}

}  // namespace fireclaw::sys
