#pragma once

#include <nettle/base64.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

/// Base64 with padding (RFC 4648), by libnettle. The programs use it too.
namespace fireclaw::sys {

inline std::string to_base64(std::string_view bytes) {
  std::string text(BASE64_ENCODE_RAW_LENGTH(bytes.size()), '\0');
  base64_encode_raw(text.data(), bytes.size(), reinterpret_cast<const std::uint8_t*>(bytes.data()));
  return text;
}

/// The bytes; nothing if `text` is not base64. Padding and line breaks may be left out or be there.
inline std::optional<std::string> from_base64(std::string_view text) {
  std::string digits{text};
  std::erase_if(digits, [](char c) { return c == '\n' || c == '\r'; });
  // nettle passes over these.
  if (digits.find_first_of(" \t\f\v") != std::string::npos) return std::nullopt;
  if (digits.find('=') == std::string::npos && digits.size() % 4 > 1) digits.append(4 - digits.size() % 4, '=');
  base64_decode_ctx context;
  base64_decode_init(&context);
  std::string bytes(BASE64_DECODE_LENGTH(digits.size()), '\0');
  std::size_t length = 0;
  if (base64_decode_update(&context, &length, reinterpret_cast<std::uint8_t*>(bytes.data()), digits.size(),
                           digits.data()) == 0 ||
      base64_decode_final(&context) == 0) {
    return std::nullopt;
  }
  bytes.resize(length);
  return bytes;
}

}  // namespace fireclaw::sys
