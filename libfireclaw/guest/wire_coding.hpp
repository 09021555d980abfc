#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

/// How values become bytes in messages between the host and guestd. Used by the files that implement messages.
namespace fireclaw::guest::wire::coding {

template <typename T>
void store(char* out, T value) noexcept {
  static_assert(std::is_unsigned_v<T>);
  for (std::size_t i = 0; i < sizeof(T); ++i) out[i] = static_cast<char>(static_cast<unsigned char>(value >> (8 * i)));
}

template <typename T>
T load(const char* in) noexcept {
  static_assert(std::is_unsigned_v<T>);
  T value = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i)
    value = static_cast<T>(value | static_cast<T>(static_cast<T>(static_cast<unsigned char>(in[i])) << (8 * i)));
  return value;
}

class Encoder {
 public:
  template <typename T>
  Encoder& number(T value) {
    using Unsigned = std::make_unsigned_t<T>;
    char bytes[sizeof(T)];
    store(bytes, static_cast<Unsigned>(value));
    out_.append(bytes, sizeof(T));
    return *this;
  }
  Encoder& flag(bool value) { return number(static_cast<std::uint8_t>(value)); }
  Encoder& text(std::string_view value) {
    number(static_cast<std::uint32_t>(value.size()));
    out_.append(value);
    return *this;
  }
  std::string take() { return std::move(out_); }

 private:
  std::string out_;
};

/// Takes values off the front; once one is missing, everything after it is missing too.
class Decoder {
 public:
  explicit Decoder(std::string_view bytes) : rest_{bytes} {}

  template <typename T>
  Decoder& number(T& value) {
    using Unsigned = std::make_unsigned_t<T>;
    if (!ok_ || rest_.size() < sizeof(T)) {
      ok_ = false;
      return *this;
    }
    value = static_cast<T>(load<Unsigned>(rest_.data()));
    rest_.remove_prefix(sizeof(T));
    return *this;
  }
  Decoder& flag(bool& value) {
    std::uint8_t byte = 0;
    number(byte);
    if (byte > 1) ok_ = false;
    value = byte == 1;
    return *this;
  }
  template <typename E>
  Decoder& one_of(E& value, E first, E last) {
    std::uint8_t byte = 0;
    number(byte);
    if (byte < static_cast<std::uint8_t>(first) || byte > static_cast<std::uint8_t>(last)) ok_ = false;
    if (ok_) value = static_cast<E>(byte);
    return *this;
  }
  Decoder& text(std::string& value) {
    std::uint32_t length = 0;
    number(length);
    if (!ok_ || rest_.size() < length) {
      ok_ = false;
      return *this;
    }
    value.assign(rest_.data(), length);
    rest_.remove_prefix(length);
    return *this;
  }
  /// The length of a list whose elements take at least `least` bytes each: a count that the bytes left cannot hold is
  /// refused before anything is reserved for it.
  std::size_t count(std::size_t least) {
    std::uint32_t value = 0;
    number(value);
    if (value > rest_.size() / least) ok_ = false;
    return ok_ ? value : 0;
  }
  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] bool complete() const { return ok_ && rest_.empty(); }

 private:
  std::string_view rest_;
  bool ok_ = true;
};

}  // namespace fireclaw::guest::wire::coding
