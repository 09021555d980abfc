#include "sys/digest.hpp"

#include <fcntl.h>
#include <nettle/sha2.h>

#include <unistd.h>

#include <array>
#include <vector>

#include "sys/file.hpp"

namespace fireclaw::sys {

struct Sha256::State {
  sha256_ctx context;
};

Sha256::Sha256() : state_{std::make_unique<State>()} { sha256_init(&state_->context); }
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;
Sha256::~Sha256() = default;

void Sha256::update(std::span<const std::byte> bytes) {
  sha256_update(&state_->context, bytes.size(), reinterpret_cast<const std::uint8_t*>(bytes.data()));
}

void Sha256::update(std::string_view text) { update(std::as_bytes(std::span{text})); }

std::string Sha256::hex() {
  constexpr std::string_view digits = "0123456789abcdef";
  std::array<std::uint8_t, SHA256_DIGEST_SIZE> digest;
  sha256_digest(&state_->context, digest.size(), digest.data());
  std::string text;
  text.reserve(2 * digest.size());
  for (const std::uint8_t byte : digest) {
    text += digits[byte >> 4];
    text += digits[byte & 0xf];
  }
  return text;
}

std::string sha256_hex(std::string_view text) {
  Sha256 digest;
  digest.update(text);
  return digest.hex();
}

std::string sha256_file(const std::filesystem::path& path) {
  const Fd file = open_file(path, O_RDONLY);
  std::vector<std::byte> buffer(std::size_t{256} << 10);
  Sha256 digest;
  for (;;) {
    const ssize_t got =
        check(retry([&] { return ::read(file.get(), buffer.data(), buffer.size()); }), "read '" + path.string() + "'");
    if (got == 0) return digest.hex();
    digest.update(std::span{buffer}.first(static_cast<std::size_t>(got)));
  }
}

}  // namespace fireclaw::sys
