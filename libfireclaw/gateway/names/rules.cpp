#include "gateway/names/rules.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace fireclaw::gateway {
namespace {

constexpr std::uint16_t class_internet = 1;
/// Transfers of whole zones, and "all that is known".
constexpr std::uint16_t first_meta_type = 251;
constexpr std::uint16_t last_meta_type = 255;

NameRule refuse(std::string rule, std::string reason) {
  return {NameRule::Action::Refuse, {}, std::move(rule), std::move(reason)};
}

bool is_own(std::string_view name) {
  const net::NamedDestination below{fmt::format("*.{}", own_zone), std::nullopt, std::nullopt};
  const net::NamedDestination zone{std::string{own_zone}, std::nullopt, std::nullopt};
  return below.matches(name) || zone.matches(name);
}

}  // namespace

NameRule judge(const NameRights& rights, const dns::Question& question) {
  using Action = NameRule::Action;
  if (question.class_number != class_internet ||
      (question.type >= first_meta_type && question.type <= last_meta_type)) {
    return refuse("type", "questions of this type are not answered");
  }
  const bool for_address = question.type == dns::type_a;
  if (is_own(question.name)) {
    const net::NamedDestination own{std::string{own_name}, std::nullopt, std::nullopt};
    if (!own.matches(question.name)) return {Action::NoName, {}, {}, {}};
    return {for_address ? Action::Own : Action::Empty, {}, {}, {}};
  }
  NameRule rule;
  std::ranges::copy_if(rights.names, std::back_inserter(rule.allowed),
                       [&](const net::NamedDestination& entry) { return entry.matches(question.name); });
  switch (rights.vm.egress) {
    case net::Egress::None: return refuse("egress", "the machine reaches nothing outside, so no name is answered");
    case net::Egress::Allowlist:
      if (rule.allowed.empty()) return refuse("allowlist", "the name is not on the machine's list");
      rule.action = for_address ? Action::Addresses : Action::Empty;
      return rule;
    case net::Egress::Internet:
      rule.action = for_address ? Action::Addresses
                    // Machines have no IPv6.
                    : question.type == dns::type_aaaa ? Action::Empty
                                                      : Action::PassOn;
      return rule;
  }
  return rule;
}

bool may_be_answered(const NameRights& rights, net::Ipv4Address address) {
  if (net::is_public(address)) return true;
  if (std::ranges::any_of(net::never_reachable(), [&](const auto& network) { return network.contains(address); })) {
    return false;
  }
  return std::ranges::any_of(rights.vm.allow,
                             [&](const net::Destination& entry) { return entry.network.contains(address); });
}

std::vector<net::Destination> opened_by(const NameRule& rule, const std::vector<Lookups::Address>& answer) {
  std::vector<net::Destination> opened;
  for (const auto& [address, ttl] : answer) {
    if (!net::is_public(address)) continue;
    for (const auto& entry : rule.allowed) opened.push_back(entry.at(address));
  }
  std::ranges::sort(opened);
  opened.erase(std::unique(opened.begin(), opened.end()), opened.end());
  return opened;
}

}  // namespace fireclaw::gateway
