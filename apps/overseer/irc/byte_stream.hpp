#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "common/files/fd.hpp"

namespace fireclaw::overseer {

/// Bytes over a connected, non-blocking socket. All members throw Error(Io) when the connection is lost.
class ByteStream {
 public:
  virtual ~ByteStream() = default;
  /// Advances the handshake before the first byte: nullopt once it is done, else the poll(2) events to wait for.
  virtual std::optional<short> handshake() = 0;
  /// Bytes read; 0: the other end has closed; nullopt: none at the moment.
  virtual std::optional<std::size_t> read(char* buffer, std::size_t size) = 0;
  /// Bytes taken; nullopt: none at the moment. Then the same bytes must come first the next time.
  virtual std::optional<std::size_t> write(std::string_view bytes) = 0;
  /// Whether there are bytes to read that poll(2) does not know of.
  [[nodiscard]] virtual bool holds_more() const = 0;
};

struct TlsOptions {
  /// The name that the server's certificate must be for.
  std::string host;
  /// Certificates to trust instead of the system's.
  std::filesystem::path ca_file;
  /// Without it anybody can claim to be the server.
  bool verify = true;
};

/// The streams borrow the descriptor.
std::unique_ptr<ByteStream> plain_stream(int fd);
/// Error(InvalidArgument) if the certificates cannot be read.
std::unique_ptr<ByteStream> tls_stream(int fd, const TlsOptions& options);

}  // namespace fireclaw::overseer
