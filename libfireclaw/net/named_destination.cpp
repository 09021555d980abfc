#include "net/named_destination.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.hpp"
#include "fireclaw/error.hpp"

namespace fireclaw::net {
namespace {

constexpr std::size_t max_host_name = 253;
constexpr std::size_t max_label = 63;
constexpr std::string_view wildcard = "*.";

std::string_view without_last_dot(std::string_view name) {
  if (name.ends_with('.')) name.remove_suffix(1);
  return name;
}

/// Labels of letters, digits and inner hyphens, the last of which is not a number: an address is not a name.
bool is_host_name(std::string_view name) {
  name = without_last_dot(name);
  if (name.empty() || name.size() > max_host_name) return false;
  std::string_view label;
  while (true) {
    label = name.substr(0, name.find('.'));
    const bool fits = !label.empty() && label.size() <= max_label && label.front() != '-' && label.back() != '-' &&
                      std::ranges::all_of(label, [](char c) { return is_digit(c) || is_letter(c) || c == '-'; });
    if (!fits) return false;
    if (label.size() == name.size()) break;
    name.remove_prefix(label.size() + 1);
  }
  return !std::ranges::all_of(label, is_digit);
}

bool same(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) { return to_lower(x) == to_lower(y); });
}

}  // namespace

bool NamedDestination::is_one(std::string_view text) {
  text = text.substr(0, text.find(':'));
  if (text.starts_with(wildcard)) text.remove_prefix(wildcard.size());
  return is_host_name(text);
}

NamedDestination NamedDestination::parse(std::string_view text) {
  constexpr std::string_view wanted = "a destination such as example.org:443 or example.org:53/udp";
  const auto refuse = [&] { return Error{ErrorCode::InvalidArgument, fmt::format("'{}' is not {}", text, wanted)}; };
  if (!is_one(text)) throw refuse();
  const auto colon = text.find(':');
  NamedDestination named{std::string{text.substr(0, colon)}, std::nullopt, std::nullopt};
  if (colon == std::string_view::npos) return named;
  try {
    // What follows a name is what follows an address.
    const auto rest = Destination::parse(fmt::format("192.0.2.1{}", text.substr(colon)));
    named.port = rest.port;
    named.protocol = rest.protocol;
  } catch (const Error&) {
    throw refuse();
  }
  return named;
}

std::string NamedDestination::to_string() const {
  auto text = host;
  if (port) text += fmt::format(":{}", *port);
  if (port && protocol) text += fmt::format("/{}", net::to_string(*protocol));
  return text;
}

bool NamedDestination::matches(std::string_view name) const {
  name = without_last_dot(name);
  auto wanted = without_last_dot(host);
  if (!is_wildcard()) return same(name, wanted);
  wanted.remove_prefix(1);
  if (name.size() <= wanted.size()) return false;
  const auto below = name.substr(0, name.size() - wanted.size());
  // An escaped dot is one within a label, not one before the wildcard's own.
  return below.back() != '\\' && same(name.substr(below.size()), wanted);
}

Destination NamedDestination::at(Ipv4Address address) const { return {Ipv4Network{address, 32}, port, protocol}; }

}  // namespace fireclaw::net
