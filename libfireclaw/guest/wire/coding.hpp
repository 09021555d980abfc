#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

/// How values become bytes in messages between the host and guestd. Each message says once what it consists of, in a
/// function beside it that both what writes and what reads is shown to:
///
///     void layout(auto& field, Is<Pear> auto& pear) { field(pear.name, pear.weight); }
///
/// Numbers take the room of their types; a flag is a byte; texts and lists have their length or count, 32 bits, before
/// them.
namespace fireclaw::guest::wire {

/// A T, whether it can be changed or not.
template <class Message, class T>
concept Is = std::is_same_v<std::remove_const_t<Message>, T>;

namespace coding {

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

/// What a list's element takes at least.
template <class T>
std::size_t least_bytes();

class Encoder {
 public:
  template <class... T>
  Encoder& operator()(const T&... values) {
    (put(values), ...);
    return *this;
  }
  /// An enumerator, of which `first` and `last` are the outermost.
  template <class E>
  Encoder& one_of(const E& value, E /*first*/, E /*last*/) {
    return (*this)(static_cast<std::uint8_t>(value));
  }
  /// A list that has an element at least.
  template <class T>
  Encoder& filled(const std::vector<T>& list) {
    return (*this)(list);
  }
  std::string take() { return std::move(out_); }

 private:
  template <class T>
  void put(const T& value) {
    if constexpr (std::is_same_v<T, bool>) {
      put(static_cast<std::uint8_t>(value));
    } else if constexpr (std::is_integral_v<T>) {
      char bytes[sizeof(T)];
      store(bytes, static_cast<std::make_unsigned_t<T>>(value));
      out_.append(bytes, sizeof(T));
    } else {
      layout(*this, value);
    }
  }
  void put(const std::string& text) {
    put(static_cast<std::uint32_t>(text.size()));
    out_.append(text);
  }
  template <class A, class B>
  void put(const std::pair<A, B>& pair) {
    (*this)(pair.first, pair.second);
  }
  template <class T>
  void put(const std::vector<T>& list) {
    put(static_cast<std::uint32_t>(list.size()));
    for (const T& item : list) put(item);
  }

  std::string out_;
};

/// Takes values off the front; once one is missing, everything after it is missing too.
class Decoder {
 public:
  explicit Decoder(std::string_view bytes) : rest_{bytes} {}

  template <class... T>
  Decoder& operator()(T&... values) {
    (take(values), ...);
    return *this;
  }
  template <class E>
  Decoder& one_of(E& value, E first, E last) {
    std::uint8_t byte = 0;
    take(byte);
    ok_ = ok_ && byte >= static_cast<std::uint8_t>(first) && byte <= static_cast<std::uint8_t>(last);
    if (ok_) value = static_cast<E>(byte);
    return *this;
  }
  template <class T>
  Decoder& filled(std::vector<T>& list) {
    take(list);
    ok_ = ok_ && !list.empty();
    return *this;
  }
  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] bool complete() const { return ok_ && rest_.empty(); }

 private:
  /// Whether so many bytes are there. Nothing is there any more once they were not.
  bool has(std::size_t bytes) { return ok_ = ok_ && rest_.size() >= bytes; }
  template <class T>
  void take(T& value) {
    if constexpr (std::is_same_v<T, bool>) {
      std::uint8_t byte = 0;
      take(byte);
      ok_ = ok_ && byte <= 1;
      value = byte == 1;
    } else if constexpr (std::is_integral_v<T>) {
      if (!has(sizeof(T))) return;
      value = static_cast<T>(load<std::make_unsigned_t<T>>(rest_.data()));
      rest_.remove_prefix(sizeof(T));
    } else {
      layout(*this, value);
    }
  }
  void take(std::string& text) {
    std::uint32_t length = 0;
    take(length);
    if (!has(length)) return;
    text.assign(rest_.data(), length);
    rest_.remove_prefix(length);
  }
  template <class A, class B>
  void take(std::pair<A, B>& pair) {
    (*this)(pair.first, pair.second);
  }
  /// A count that the bytes left cannot hold is refused before anything is reserved for it.
  template <class T>
  void take(std::vector<T>& list) {
    std::uint32_t count = 0;
    take(count);
    ok_ = ok_ && count <= rest_.size() / least_bytes<T>();
    if (!ok_) return;
    list.resize(count);
    for (T& item : list) take(item);
  }

  std::string_view rest_;
  bool ok_ = true;
};

template <class T>
std::size_t least_bytes() {
  return Encoder{}(T{}).take().size();
}

template <class T>
concept Message = requires(Encoder& field, const T& message) {
  layout(field, message);
};

}  // namespace coding

/// The payload.
template <coding::Message T>
std::string encode(const T& message) {
  return coding::Encoder{}(message).take();
}

/// False unless the payload is exactly one well-formed message.
template <coding::Message T>
bool decode(std::string_view payload, T& message) {
  message = {};
  return coding::Decoder{payload}(message).complete();
}

}  // namespace fireclaw::guest::wire
