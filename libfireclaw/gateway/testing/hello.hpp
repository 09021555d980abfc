#pragma once

#include <cstddef>
#include <string>

namespace fireclaw::gateway::test {

// How a TLS client begins (RFC 8446, 4.1.2), in pieces.

inline std::string tls_number(std::size_t value, unsigned bytes) {
  std::string text;
  for (unsigned byte = bytes; byte-- > 0;) text += static_cast<char>(value >> 8U * byte & 0xFFU);
  return text;
}

inline std::string tls_record(const std::string& content) {
  return std::string{"\x16\x03\x01", 3} + tls_number(content.size(), 2) + content;
}

inline std::string tls_extension(unsigned type, const std::string& content) {
  return tls_number(type, 2) + tls_number(content.size(), 2) + content;
}

inline std::string tls_server_name(const std::string& host) {
  const auto entry = tls_number(0, 1) + tls_number(host.size(), 2) + host;
  return tls_extension(0, tls_number(entry.size(), 2) + entry);
}

/// A client's hello with these extensions among others.
inline std::string tls_message_with(const std::string& extensions) {
  const auto all = tls_extension(43, "\x02\x03\x04") + extensions + tls_extension(21, std::string(100, '\0'));
  const auto body = "\x03\x03" + std::string(32, 'r') + tls_number(32, 1) + std::string(32, 's') + tls_number(2, 2) +
                    "\x13\x01" + tls_number(1, 1) + tls_number(0, 1) + tls_number(all.size(), 2) + all;
  return tls_number(1, 1) + tls_number(body.size(), 3) + body;
}

/// One that asks for `host`; empty: for none.
inline std::string tls_message(const std::string& host) {
  return tls_message_with(host.empty() ? std::string{} : tls_server_name(host));
}

inline std::string tls_hello(const std::string& host) { return tls_record(tls_message(host)); }

}  // namespace fireclaw::gateway::test
