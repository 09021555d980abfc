#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

namespace fireclaw::net {

/// An IPv4 address; a value.
class Ipv4Address {
 public:
  constexpr Ipv4Address() = default;
  /// From its 32 bits in host byte order: 0xAC100001 is 172.16.0.1.
  static constexpr Ipv4Address from_bits(std::uint32_t bits) { return Ipv4Address{bits}; }
  /// "172.16.0.1"; Error(InvalidArgument) for anything else.
  static Ipv4Address parse(std::string_view text);

  [[nodiscard]] constexpr std::uint32_t bits() const { return bits_; }
  [[nodiscard]] std::string to_string() const;
  constexpr auto operator<=>(const Ipv4Address&) const = default;

 private:
  explicit constexpr Ipv4Address(std::uint32_t bits) : bits_{bits} {}
  std::uint32_t bits_ = 0;
};

/// A block of addresses, "172.16.0.0/24"; a value.
class Ipv4Network {
 public:
  /// Error(InvalidArgument) if `prefix` is above 32 or `base` has bits set beyond it.
  Ipv4Network(Ipv4Address base, unsigned prefix);
  /// "10.0.0.0/8", or a single address, which is a /32.
  static Ipv4Network parse(std::string_view text);
  /// The block of length `prefix` that `member` lies in.
  static Ipv4Network around(Ipv4Address member, unsigned prefix);

  [[nodiscard]] Ipv4Address base() const { return base_; }
  [[nodiscard]] unsigned prefix() const { return prefix_; }
  /// The highest address: of an ordinary subnet, its broadcast address.
  [[nodiscard]] Ipv4Address last() const;
  [[nodiscard]] bool contains(Ipv4Address address) const;
  [[nodiscard]] bool contains(const Ipv4Network& other) const;
  [[nodiscard]] bool overlaps(const Ipv4Network& other) const;
  [[nodiscard]] std::string to_string() const;
  auto operator<=>(const Ipv4Network&) const = default;

 private:
  Ipv4Address base_;
  unsigned prefix_;
};

/// An Ethernet address; a value.
class MacAddress {
 public:
  constexpr MacAddress() = default;
  explicit constexpr MacAddress(std::array<std::uint8_t, 6> bytes) : bytes_{bytes} {}
  /// "02:fc:ac:10:00:02"; Error(InvalidArgument) for anything else.
  static MacAddress parse(std::string_view text);
  /// The address that fireclaw gives to the machine that has `address`: 02:fc and the four bytes. A guest that takes
  /// over a lease takes over its MAC, so nobody's neighbour table ever goes stale.
  static MacAddress for_address(Ipv4Address address);

  [[nodiscard]] const std::array<std::uint8_t, 6>& bytes() const { return bytes_; }
  [[nodiscard]] std::string to_string() const;
  auto operator<=>(const MacAddress&) const = default;

 private:
  std::array<std::uint8_t, 6> bytes_{};
};

}  // namespace fireclaw::net
