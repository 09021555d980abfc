#include "net/interface_name.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "fireclaw/error.hpp"
#include "sys/random.hpp"

namespace fireclaw::net {
namespace {

constexpr std::size_t max_interface_name = 15;  // IFNAMSIZ less the final zero

bool is_letter_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

}  // namespace

InterfaceName::InterfaceName(std::string_view name) : name_{name} {
  const bool good = !name.empty() && name.size() <= max_interface_name && is_letter_or_digit(name.front()) &&
                    std::all_of(name.begin(), name.end(),
                                [](char c) { return is_letter_or_digit(c) || c == '_' || c == '-' || c == '.'; }) &&
                    name != "all" && name != "default";
  if (!good) {
    throw Error{ErrorCode::InvalidArgument,
                fmt::format("'{}' is not an interface name: 1 to {} letters, digits, '-', '_' and '.', not 'all' or "
                            "'default'",
                            name, max_interface_name)};
  }
}

InterfaceName bridge_name(std::string_view name) {
  if (name.empty() || name.size() > max_bridge_name || !std::all_of(name.begin(), name.end(), is_letter_or_digit)) {
    throw Error{
        ErrorCode::InvalidArgument,
        fmt::format("'{}' is not a bridge name: 1 to {} letters and digits, such as fcbr0", name, max_bridge_name)};
  }
  return InterfaceName{name};
}

std::string tap_prefix(const InterfaceName& bridge) { return bridge.str() + "-"; }

InterfaceName tap_name(const InterfaceName& bridge, std::string_view id) {
  if (id.empty() || !std::all_of(id.begin(), id.end(), is_letter_or_digit)) {
    throw Error{ErrorCode::InvalidArgument, fmt::format("'{}' cannot be part of a tap's name: letters and digits", id)};
  }
  const auto prefix = tap_prefix(bridge);
  return InterfaceName{prefix + std::string{id.substr(0, max_interface_name - prefix.size())}};
}

InterfaceName random_tap_name(const InterfaceName& bridge) { return tap_name(bridge, sys::random_hex(8)); }

}  // namespace fireclaw::net
