#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "guest/wire/wire.hpp"

/// How the fuzzers of the guest protocol read their input: as a script of small steps. Frames are made with the right
/// checksums, so that what is behind the checksum is reached; raw bytes are a step of their own.
namespace fireclaw::fuzz {

class Script {
 public:
  explicit Script(std::string_view bytes) : rest_{bytes} {}
  [[nodiscard]] bool done() const { return rest_.empty(); }
  std::uint8_t byte() {
    if (rest_.empty()) return 0;
    const char value = rest_.front();
    rest_.remove_prefix(1);
    return static_cast<std::uint8_t>(value);
  }
  /// Up to 64 KiB: the length is part of the input.
  std::string_view bytes() {
    const std::size_t wanted = byte() | static_cast<std::size_t>(byte()) << 8;
    const std::string_view taken = rest_.substr(0, std::min(wanted, rest_.size()));
    rest_.remove_prefix(taken.size());
    return taken;
  }
  /// A frame of the session that `seal` belongs to.
  void append_frame(std::string& out, guest::wire::Seal seal) {
    const auto type = static_cast<guest::wire::Type>(byte());
    const std::uint32_t channel = byte();
    guest::wire::append_frame(out, seal, type, channel, bytes());
  }

 private:
  std::string_view rest_;
};

/// Where files may be made in great number: in memory, where there is such a place.
inline std::filesystem::path scratch_parent() {
  const std::filesystem::path memory = "/dev/shm";
  return std::filesystem::is_directory(memory) ? memory : std::filesystem::temp_directory_path();
}

inline guest::wire::Nonce nonce_of(std::uint8_t value) {
  guest::wire::Nonce nonce{};
  nonce.fill(static_cast<char>(value));
  return nonce;
}

/// Ends the fuzzer, with a core, if something that must hold does not.
inline void require(bool holds) {
  if (!holds) __builtin_trap();
}

}  // namespace fireclaw::fuzz
