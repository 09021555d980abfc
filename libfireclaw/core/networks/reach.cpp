#include "core/networks/reach.hpp"

#include <algorithm>
#include <chrono>
#include <utility>
#include <variant>

#include <fmt/format.h>

#include "base/scope.hpp"
#include "base/text.hpp"
#include "core/networks/nat.hpp"
#include "fireclaw/error.hpp"
#include "net/firewall/openings.hpp"
#include "state/records/run_policy.hpp"
#include "sys/process.hpp"

namespace fireclaw::core {
namespace {

/// One text for all that mean the same.
std::string text_of(const AllowedDestination& destination) {
  if (const auto* plain = std::get_if<net::Destination>(&destination)) return plain->to_string();
  auto named = std::get<NamedDestination>(destination);
  named.host = to_lower(named.host);
  if (named.host.ends_with('.')) named.host.pop_back();
  return named.to_string();
}

std::vector<std::string> list_of(const state::RunNetwork& nat) {
  auto list = nat.allow;
  list.insert(list.end(), nat.allow_names.begin(), nat.allow_names.end());
  return list;
}

/// What the names stand for now. A name that is not known, any more, opens nothing.
std::vector<net::Destination> addresses_of(const Host::Impl& host, const std::vector<std::string>& names) {
  std::vector<net::Destination> found;
  for (const auto& text : names) {
    const auto named = NamedDestination::parse(text);
    if (named.is_wildcard()) continue;
    try {
      const auto addresses = resolve(named);
      found.insert(found.end(), addresses.begin(), addresses.end());
    } catch (const Error& problem) {
      host.logger.info(problem.what());
    }
  }
  return found;
}

Error asks_no_names(std::string_view whose) {
  return Error{ErrorCode::InvalidState, fmt::format("{} cannot ask the gateway for names; name addresses", whose)};
}

/// The machine's place in the network after the change.
state::RunNetwork changed(state::RunNetwork nat, std::string_view text, ReachChange change, std::string_view whose) {
  const bool named = NamedDestination::is_one(text);
  if (named && !nat.names && !nat.services) throw asks_no_names(whose);
  // Refuses what is not on the list, whichever of the two it would be on.
  static_cast<void>(changed_list(list_of(nat), text, change, whose));
  auto& list = named ? nat.allow_names : nat.allow;
  list = changed_list(std::move(list), text, change, whose);
  if (change == ReachChange::Allow && net::parse_egress(nat.egress) == net::Egress::None) {
    nat.egress = net::to_string(net::Egress::Allowlist);
  }
  return nat;
}

}  // namespace

std::vector<std::string> changed_list(std::vector<std::string> list, std::string_view destination, ReachChange change,
                                      std::string_view whose) {
  const auto wanted = text_of(parse_allowed(destination));
  const auto same = [&](const std::string& entry) { return text_of(parse_allowed(entry)) == wanted; };
  const bool known = std::ranges::any_of(list, same);
  switch (change) {
    case ReachChange::Allow:
      if (!known) list.push_back(wanted);
      return list;
    case ReachChange::Deny:
      if (!known) {
        throw Error{ErrorCode::NotFound,
                    fmt::format("'{}' is not on the list of {}, {}", wanted, whose,
                                list.empty() ? "which is empty" : fmt::format("which has {}", fmt::join(list, ", ")))};
      }
      std::erase_if(list, same);
      return list;
  }
  return list;
}

std::vector<std::string> change_reach(const Host::Impl& host, const std::string& run, std::string_view destination,
                                      ReachChange change, std::string_view whose) {
  constexpr std::chrono::minutes first_opening{10};
  const auto require = [&] {
    auto record = host.runs.find(run);
    if (!record || !record->nat) {
      throw Error{ErrorCode::InvalidState,
                  fmt::format("{} has no network \"nat\", so nothing can be allowed or denied", whose)};
    }
    return *std::move(record);
  };
  const auto wanted = parse_allowed(destination);
  const auto* const named = std::get_if<NamedDestination>(&wanted);
  if (named != nullptr && !NatNetwork{host}.serves_names()) throw asks_no_names(whose);
  // Mistakes are found, and names looked up, before anybody else has to wait.
  const auto first = changed(require().nat.value(), destination, change, whose);
  std::vector<net::Destination> found;
  std::vector<net::Ipv4Network> closed;
  if (named == nullptr) {
    if (change == ReachChange::Deny) closed.push_back(std::get<net::Destination>(wanted).network);
  } else if (change == ReachChange::Deny) {
    found = addresses_of(host, first.allow_names);
  } else if (!named->is_wildcard()) {
    found = resolve(*named);
  }
  where_network_is(host, [&](NatNetwork& network) {
    const auto turn = network.take_turn();
    const auto before = require().nat.value();
    const auto leases = network.leases();
    const bool has_address = std::ranges::any_of(leases, [&](const net::Lease& lease) {
      return lease.run == run && lease.address.to_string() == before.address && sys::is_alive(lease.holder);
    });
    // Another machine may have the address by now.
    if (!has_address) throw Error{ErrorCode::InvalidState, fmt::format("{} has ended", whose)};
    const auto then = changed(before, destination, change, whose);
    const auto put = [&](const state::RunNetwork& nat) {
      host.runs.change(run, [&](state::RunRecord& now) { now.nat = nat; });
    };
    // First: who loads the firewall again takes the machines from their records.
    put(then);
    Rollback undo;
    undo.push([&] { put(before); });
    const auto policy = state::to_policy(before);
    const auto after = state::to_policy(then);
    // Does nothing, but fail, where the firewall is as it was.
    undo.push([&] { network.firewall().change_vm(after, policy, {}, false); });
    network.firewall().change_vm(policy, after, closed, named != nullptr && change == ReachChange::Deny);
    net::Openings{network.bridge().name, net::Openings::open_socket()}.open(after, found, first_opening);
    undo.commit();
  });
  return list_of(require().nat.value());
}

}  // namespace fireclaw::core
