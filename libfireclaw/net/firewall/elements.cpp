#include "net/firewall/elements.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "base/number.hpp"
#include "fireclaw/error.hpp"
#include "json/json.hpp"
#include "net/firewall/ruleset.hpp"

namespace fireclaw::net {
namespace {

constexpr std::string_view egress_chain = "egress_";

/// How many parts keys and data of a set have, and where the machine's address is among them.
struct Shape {
  std::string_view set;
  std::size_t key_parts;
  std::size_t data_parts;
  std::size_t owner;
};
constexpr Shape shapes[] = {
    {"sources", 3, 0, 2},          {"egress", 1, 1, 0},        {"clients", 1, 0, 0},   {"name_clients", 1, 0, 0},
    {"allowed_networks", 2, 0, 0}, {"allowed_ports", 4, 0, 0}, {"published", 2, 2, 2}, {"published_at", 3, 2, 3},
    {"named_addresses", 2, 0, 0},  {"named_ports", 4, 0, 0},   {"rates", 1, 1, 0},     {"services_only", 1, 0, 0},
};

const Shape* shape_of(std::string_view set) {
  const auto* const found =
      std::find_if(std::begin(shapes), std::end(shapes), [&](const Shape& s) { return s.set == set; });
  return found == std::end(shapes) ? nullptr : found;
}

std::string text_of(const json::Value& value) {
  if (value.is_string()) return value.as_string();
  if (value.type() == json::Value::Type::Number) return fmt::format("{}", value.as_uint());
  if (const auto prefix = value.find("prefix")) {
    return fmt::format("{}/{}", prefix->at("addr").as_string(), prefix->at("len").as_uint());
  }
  if (const auto target = value.find("goto")) return target->at("target").as_string();
  value.fail("not something that fireclaw puts into a set");
}

std::vector<std::string> parts_of(const json::Value& value) {
  const auto concatenation = value.is_object() ? value.find("concat") : std::nullopt;
  if (!concatenation) return {text_of(value)};
  std::vector<std::string> parts;
  for (const auto& part : concatenation->as_array()) parts.push_back(text_of(part));
  return parts;
}

/// A rate in MiB a second, as nftables lists it.
std::string mib_of(const json::Value& limit) {
  if (limit.at("rate_unit").as_string() != "mbytes") limit.fail("not a rate of fireclaw's");
  return fmt::format("{}", limit.at("rate").as_uint());
}

unsigned parse_rate(std::string_view text) {
  const auto rate = parse_number<unsigned>(text).value_or(0);
  if (rate == 0) throw Error{ErrorCode::InvalidArgument, fmt::format("'{}' is not a rate", text)};
  return rate;
}

/// Fills in what `element` says about its machine. Throws if it says nothing that makes sense.
void apply(const Element& element, VmPolicy& vm) {
  const auto& key = element.key;
  if (element.set == "sources") {
    vm.tap = InterfaceName{key[0]};
    vm.mac = MacAddress::parse(key[1]);
  } else if (element.set == "egress") {
    const auto chain = std::string_view{element.data[0]};
    vm.egress = parse_egress(chain.starts_with(egress_chain) ? chain.substr(egress_chain.size()) : chain);
  } else if (element.set == "clients") {
    vm.services = ServiceAccess::All;
  } else if (element.set == "name_clients") {
    if (vm.services == ServiceAccess::None) vm.services = ServiceAccess::Names;
  } else if (element.set == "allowed_networks") {
    vm.allow.push_back(Destination::parse(key[1]));
  } else if (element.set == "allowed_ports") {
    vm.allow.push_back(Destination::parse(fmt::format("{}:{}/{}", key[1], key[3], key[2])));
  } else if (element.set == "rates") {
    vm.mib_per_second = parse_rate(element.data[0]);
  } else if (const auto publication = publication_of(element)) {
    vm.publish.push_back(*publication);
  }
  // What a name was answered with is not what the machine was given; that it has services only follows from the rest.
}

VmPolicy unknown_machine(Ipv4Address address) {
  return {InterfaceName{"unknown"}, {}, address, Egress::None, {}, ServiceAccess::None, {}};
}

/// nullopt for what fireclaw cannot have added.
std::optional<Element> read_element(const json::Value& set, bool is_map, const json::Value& entry) {
  try {
    Element element{set.at("family").as_string(), set.at("name").as_string(), {}, {}, {}};
    const auto* const shape = shape_of(element.set);
    if (shape == nullptr) return std::nullopt;
    if (is_map) {
      const auto& pair = entry.as_array();
      if (pair.size() != 2) return std::nullopt;
      element.key = parts_of(pair[0]);
      element.data = parts_of(pair[1]);
    } else {
      // One that expires, or has a rate, has more to it than its key.
      const auto more = entry.is_object() ? entry.find("elem") : std::nullopt;
      const bool has_rate = element.set == "rates";
      if (more.has_value() != (expires(element) || has_rate)) return std::nullopt;
      element.key = parts_of(more ? more->at("val") : entry);
      if (has_rate) element.data = {mib_of(more->at("limit"))};
    }
    if (element.key.size() != shape->key_parts || element.data.size() != shape->data_parts) return std::nullopt;
    element.owner = Ipv4Address::parse(shape->owner < shape->key_parts ? element.key[shape->owner]
                                                                       : element.data[shape->owner - shape->key_parts]);
    auto trial = unknown_machine(element.owner);
    apply(element, trial);
    return element;
  } catch (const Error&) {
    return std::nullopt;
  }
}

}  // namespace

std::vector<Element> read_elements(std::string_view listing) {
  std::vector<Element> elements;
  const auto document = json::Value::parse(listing, "nftables' list");
  for (const auto& object : document.at("nftables").as_array()) {
    const auto map = object.find("map");
    const auto set = map ? map : object.find("set");
    const auto entries = set ? set->find("elem") : std::nullopt;
    if (!entries) continue;
    for (const auto& entry : entries->as_array()) {
      if (auto element = read_element(*set, map.has_value(), entry)) elements.push_back(*std::move(element));
    }
  }
  return elements;
}

bool expires(const Element& element) { return element.set == "named_addresses" || element.set == "named_ports"; }

std::string delete_command(const InterfaceName& bridge, const Element& element) {
  auto key = element.key;
  if (element.set == "sources") key.front() = fmt::format("\"{}\"", key.front());
  return fmt::format("delete element {} {} {} {{ {} }}\n", element.family, table_name(bridge), element.set,
                     fmt::join(key, " . "));
}

std::string delete_commands(const InterfaceName& bridge, Ipv4Address owner, std::span<const Element> elements) {
  std::string commands;
  for (const auto& element : elements) {
    if (element.owner == owner && !expires(element)) commands += delete_command(bridge, element);
  }
  return commands;
}

std::vector<VmPolicy> vms_of(std::span<const Element> elements) {
  std::map<Ipv4Address, VmPolicy> found;
  for (const auto& element : elements) {
    if (element.set == "sources") found.emplace(element.owner, unknown_machine(element.owner));
  }
  for (const auto& element : elements) {
    if (const auto vm = found.find(element.owner); vm != found.end()) apply(element, vm->second);
  }
  std::vector<VmPolicy> vms;
  for (auto& [address, vm] : found) {
    std::sort(vm.allow.begin(), vm.allow.end());
    std::sort(vm.publish.begin(), vm.publish.end());
    vms.push_back(std::move(vm));
  }
  return vms;
}

std::optional<Publication> publication_of(const Element& element) {
  if (element.set != "published" && element.set != "published_at") return std::nullopt;
  const auto& key = element.key;
  const bool any = element.set == "published";
  return Publication::parse(
      fmt::format("{}{}:{}/{}", any ? "0.0.0.0:" : key[0] + ":", key[any ? 1 : 2], element.data[1], key[any ? 0 : 1]));
}

}  // namespace fireclaw::net
