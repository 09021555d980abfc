#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "gateway/names/dns_message.hpp"
#include "net/named_destination.hpp"
#include "net/policy.hpp"

namespace fireclaw::gateway {

/// The rights of one machine, and the names that it may reach.
struct NameRights {
  net::VmPolicy vm;
  std::vector<net::NamedDestination> names;
  /// The web servers that it may reach through the HTTP proxy.
  std::vector<net::NamedDestination> http = {};
};

/// The decision about a question.
struct NameRule {
  enum class Action {
    Empty,      ///< answered with nothing: there is nothing of the kind for machines
    Own,        ///< answered with the gateway's address
    NoName,     ///< there is no such name of the gateway's
    Addresses,  ///< the name's addresses are looked up, and those that the machine may reach are answered
    PassOn,     ///< another server's answer is passed on
    Refuse,
  };
  Action action = Action::Refuse;
  /// The entries of the machine's list that mean the name.
  std::vector<net::NamedDestination> allowed;
  /// Why it is refused: a word for programs, and a text for people.
  std::string rule;
  std::string reason;
};

/// The zone of the gateway's own names, and the one that it has.
inline constexpr std::string_view own_zone = "fireclaw.internal";
inline constexpr std::string_view own_name = "gateway.fireclaw.internal";

/// Machines with egress `internet` may ask for everything, those with `allowlist` for the addresses of the names on
/// their list, those with `none` for the gateway's own names. So a machine that may reach little can leak little by
/// questions.
NameRule judge(const NameRights& rights, const dns::Question& question);

/// Whether an answer may contain the address: public ones may, and those that the machine may reach by address.
bool may_be_answered(const NameRights& rights, net::Ipv4Address address);

/// The destinations that an answer opens with egress `allowlist`: public addresses, at the ports of the list's entries.
std::vector<net::Destination> opened_by(const NameRule& rule, const std::vector<Lookups::Address>& answer);

}  // namespace fireclaw::gateway
