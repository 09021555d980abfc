#include "crew/digest.hpp"

#include <gnutls/crypto.h>

#include <array>

#include <fmt/format.h>

#include "fireclaw/error.hpp"

namespace fireclaw::overseer {

std::string sha256(std::string_view bytes) {
  std::array<unsigned char, 32> digest{};
  if (::gnutls_hash_fast(GNUTLS_DIG_SHA256, bytes.data(), bytes.size(), digest.data()) < 0) {
    throw Error{ErrorCode::Internal, "SHA-256 cannot be computed"};
  }
  std::string text;
  for (const auto byte : digest) text += fmt::format("{:02x}", byte);
  return text;
}

}  // namespace fireclaw::overseer
