#include "gateway/proxy/tls_hello.hpp"

#include <cstddef>
#include <optional>

#include "base/text.hpp"

namespace fireclaw::gateway {
namespace {

constexpr std::size_t most_bytes = std::size_t{64} << 10;
constexpr std::size_t longest_record = (std::size_t{1} << 14) + 256;

// RFC 8446: 4 (handshake), 5.1 (records); RFC 6066: 3 (server_name).
constexpr std::size_t handshake_record = 22;
constexpr std::size_t major_version = 3;
constexpr std::size_t client_hello = 1;
constexpr std::size_t server_name_extension = 0;
constexpr std::size_t host_name = 0;
constexpr std::size_t version_and_random = 2 + 32;
constexpr std::size_t message_head = 4;

/// Takes bytes off the front; once something is missing, it has nothing more.
class Cursor {
 public:
  explicit Cursor(std::string_view bytes) : rest_{bytes} {}

  std::string_view take(std::size_t count) {
    if (count > rest_.size()) {
      whole_ = false;
      rest_ = {};
      return {};
    }
    const auto taken = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return taken;
  }
  std::size_t number(std::size_t bytes) {
    std::size_t value = 0;
    for (const char byte : take(bytes)) value = value << 8U | static_cast<unsigned char>(byte);
    return value;
  }
  /// What a length of so many bytes stands before.
  std::string_view vector(std::size_t length_bytes) { return take(number(length_bytes)); }

  [[nodiscard]] bool done() const { return rest_.empty(); }
  /// Whether all of it was there.
  [[nodiscard]] bool whole() const { return whole_; }

 private:
  std::string_view rest_;
  bool whole_ = true;
};

/// The one host of the extension.
std::optional<std::string_view> read_server_name(std::string_view extension) {
  Cursor outer{extension};
  Cursor names{outer.vector(2)};
  const auto type = names.number(1);
  const auto name = names.vector(2);
  const bool one = outer.whole() && outer.done() && names.whole() && names.done();
  if (!one || type != host_name || name.empty()) return std::nullopt;
  return name;
}

TlsHello read_message(std::string_view message) {
  const TlsHello unfit{TlsHello::State::Unfit};
  Cursor hello{message};
  hello.take(version_and_random);
  hello.vector(1);  // session
  hello.vector(2);  // ciphers
  hello.vector(1);  // compression
  TlsHello read{TlsHello::State::Whole};
  if (!hello.whole()) return unfit;
  if (hello.done()) return read;
  Cursor extensions{hello.vector(2)};
  if (!hello.whole() || !hello.done()) return unfit;
  while (!extensions.done()) {
    const auto type = extensions.number(2);
    const auto content = extensions.vector(2);
    if (!extensions.whole()) return unfit;
    if (type != server_name_extension) continue;
    const auto name = read_server_name(content);
    if (!name || !read.server_name.empty()) return unfit;
    read.server_name = *name;
  }
  read.server_name = to_lower(read.server_name);
  return read;
}

}  // namespace

TlsHello read_tls_hello(std::string_view bytes) {
  const TlsHello unfit{TlsHello::State::Unfit};
  std::string message;
  for (Cursor records{bytes}; !records.done();) {
    if (records.number(1) != handshake_record) return unfit;
    const auto version = records.take(2);
    if (!records.whole()) break;
    if (static_cast<unsigned char>(version[0]) != major_version) return unfit;
    const auto length = records.number(2);
    if (!records.whole()) break;
    if (length == 0 || length > longest_record) return unfit;
    const auto content = records.take(length);
    if (!records.whole()) break;
    message += content;
    Cursor begun{message};
    if (begun.number(1) != client_hello) return unfit;
    const auto size = begun.number(message_head - 1);
    if (!begun.whole()) continue;
    if (size > most_bytes) return unfit;
    // What comes with it is not a client's hello any more.
    if (message.size() > message_head + size) return unfit;
    if (message.size() == message_head + size) return read_message(begun.take(size));
  }
  return bytes.size() > 2 * most_bytes ? unfit : TlsHello{};
}

}  // namespace fireclaw::gateway
