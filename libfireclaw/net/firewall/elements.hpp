#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "net/policy.hpp"

namespace fireclaw::net {

// Finds the machines for which the kernel's sets were filled.

/// An element of one of our sets or maps: the parts of its key, and of a map's value.
struct Element {
  std::string family;
  std::string set;
  std::vector<std::string> key;
  std::vector<std::string> data;
  /// The machine it was added for.
  Ipv4Address owner;
};

/// The machines' elements in what nft prints as JSON for `list table`. Elements that fireclaw cannot have added are
/// left out: they vanish when the tables are loaded again.
std::vector<Element> read_elements(std::string_view listing);

/// Whether it expires: an address from an answer to a name.
bool expires(const Element& element);

/// The nft command that removes it.
std::string delete_command(const InterfaceName& bridge, const Element& element);
/// The same for all elements of a machine, but for those that expire: they may have gone meanwhile.
std::string delete_commands(const InterfaceName& bridge, Ipv4Address owner, std::span<const Element> elements);

/// The machines that the elements describe, by address. Without a place among the sources of packets a machine does
/// not exist, whatever else is left of it.
std::vector<VmPolicy> vms_of(std::span<const Element> elements);

/// The port that it publishes, if that is what it is for.
std::optional<Publication> publication_of(const Element& element);

}  // namespace fireclaw::net
