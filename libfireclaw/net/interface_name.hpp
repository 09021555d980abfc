#pragma once

#include <compare>
#include <string>
#include <string_view>

namespace fireclaw::net {

/// A network interface's name that is safe in a path, in a ruleset and for the kernel: 1–15 letters, digits, '_', '-'
/// and '.', starting with a letter or digit, and none of the names that mean several interfaces in /proc/sys.
class InterfaceName {
 public:
  /// Error(InvalidArgument) quoting `name`.
  explicit InterfaceName(std::string_view name);

  [[nodiscard]] const std::string& str() const { return name_; }
  auto operator<=>(const InterfaceName&) const = default;

 private:
  std::string name_;
};

/// The longest name a bridge may have, so that the taps' names, which start with it, have room for an id.
inline constexpr std::size_t max_bridge_name = 8;

/// A bridge's name: an InterfaceName of at most eight letters and digits.
InterfaceName bridge_name(std::string_view name);

/// The prefix of the names of all taps of `bridge` ("fcbr0-"). The firewall recognises them by it, so that a port
/// that has no rules yet is closed rather than open.
std::string tap_prefix(const InterfaceName& bridge);

/// The tap for the machine with `id` (letters and digits; cut at its end if too long): "fcbr0-1f3a9c04".
InterfaceName tap_name(const InterfaceName& bridge, std::string_view id);

/// A tap name that nobody else has picked: prefix and random digits.
InterfaceName random_tap_name(const InterfaceName& bridge);

}  // namespace fireclaw::net
