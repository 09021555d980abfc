#include "net/address.hpp"

#include <fmt/format.h>

#include <optional>

#include "base/number.hpp"
#include "fireclaw/error.hpp"

namespace fireclaw::net {
namespace {

/// A decimal number of at most `max`, without sign, space or leading zero: "010" is octal to some programs.
std::optional<unsigned> number_up_to(std::string_view text, unsigned max) {
  if (text.empty() || (text.size() > 1 && text.front() == '0')) return std::nullopt;
  const auto value = parse_number<unsigned>(text);
  return value > max ? std::nullopt : value;
}

/// Cuts the part before the next `separator` off `text`.
std::string_view take_part(std::string_view& text, char separator) {
  const auto at = text.find(separator);
  const auto part = text.substr(0, at);
  text.remove_prefix(at == std::string_view::npos ? text.size() : at + 1);
  return part;
}

std::optional<Ipv4Address> try_parse_address(std::string_view text) {
  std::uint32_t bits = 0;
  if (!text.empty() && text.back() == '.') return std::nullopt;
  for (int i = 0; i < 4; ++i) {
    const auto byte = number_up_to(take_part(text, '.'), 255);
    if (!byte) return std::nullopt;
    bits = bits << 8 | *byte;
  }
  if (!text.empty()) return std::nullopt;
  return Ipv4Address::from_bits(bits);
}

std::uint32_t mask_bits(unsigned prefix) { return prefix == 0 ? 0 : ~std::uint32_t{0} << (32 - prefix); }

}  // namespace

Ipv4Address Ipv4Address::parse(std::string_view text) {
  if (const auto address = try_parse_address(text)) return *address;
  throw Error{ErrorCode::InvalidArgument, fmt::format("'{}' is not an IPv4 address such as 172.16.0.1", text)};
}

std::string Ipv4Address::to_string() const {
  return fmt::format("{}.{}.{}.{}", bits_ >> 24, bits_ >> 16 & 255, bits_ >> 8 & 255, bits_ & 255);
}

Ipv4Network::Ipv4Network(Ipv4Address base, unsigned prefix) : base_{base}, prefix_{prefix} {
  if (prefix > 32) {
    throw Error{ErrorCode::InvalidArgument, fmt::format("'{}/{}': a prefix is 0 to 32", base.to_string(), prefix)};
  }
  if ((base.bits() & ~mask_bits(prefix)) != 0) {
    throw Error{ErrorCode::InvalidArgument, fmt::format("'{}/{}' is an address within a network; the network is {}",
                                                        base.to_string(), prefix, around(base, prefix).to_string())};
  }
}

Ipv4Network Ipv4Network::parse(std::string_view text) {
  auto rest = text;
  const auto address = try_parse_address(take_part(rest, '/'));
  if (address && text.find('/') == std::string_view::npos) return {*address, 32};
  const auto prefix = number_up_to(rest, 32);
  if (!address || !prefix) {
    throw Error{ErrorCode::InvalidArgument, fmt::format("'{}' is not an IPv4 network such as 172.16.0.0/24", text)};
  }
  return {*address, *prefix};
}

Ipv4Network Ipv4Network::around(Ipv4Address member, unsigned prefix) {
  return {Ipv4Address::from_bits(member.bits() & mask_bits(prefix)), prefix};
}

Ipv4Address Ipv4Network::last() const { return Ipv4Address::from_bits(base_.bits() | ~mask_bits(prefix_)); }

bool Ipv4Network::contains(Ipv4Address address) const { return (address.bits() & mask_bits(prefix_)) == base_.bits(); }

bool Ipv4Network::contains(const Ipv4Network& other) const { return other.prefix_ >= prefix_ && contains(other.base_); }

bool Ipv4Network::overlaps(const Ipv4Network& other) const { return contains(other) || other.contains(*this); }

std::string Ipv4Network::to_string() const { return fmt::format("{}/{}", base_.to_string(), prefix_); }

MacAddress MacAddress::parse(std::string_view text) {
  auto rest = text;
  std::array<std::uint8_t, 6> bytes{};
  bool good = text.size() == 17;
  for (auto& byte : bytes) {
    const auto part = take_part(rest, ':');
    const auto number = parse_number<std::uint8_t>(part, 16);
    good = good && part.size() == 2 && number;
    byte = number.value_or(0);
  }
  if (!good) {
    throw Error{ErrorCode::InvalidArgument, fmt::format("'{}' is not a MAC address such as 02:fc:ac:10:00:02", text)};
  }
  return MacAddress{bytes};
}

MacAddress MacAddress::for_address(Ipv4Address address) {
  const auto byte = [&](int shift) { return static_cast<std::uint8_t>(address.bits() >> shift); };
  return MacAddress{{0x02, 0xfc, byte(24), byte(16), byte(8), byte(0)}};
}

std::string MacAddress::to_string() const {
  return fmt::format("{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}", bytes_[0], bytes_[1], bytes_[2], bytes_[3], bytes_[4],
                     bytes_[5]);
}

}  // namespace fireclaw::net
