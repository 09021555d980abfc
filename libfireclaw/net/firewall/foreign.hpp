#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net/firewall/probe.hpp"
#include "net/interface_name.hpp"

namespace fireclaw::net {

/// A chain of somebody else's that sees packets of machines: on the hook "input" or "forward".
struct ForeignChain {
  std::string family;
  std::string table;
  std::string name;
  std::string hook;
  bool drops_by_policy = false;

  /// As nft commands name it: "ip filter INPUT".
  [[nodiscard]] std::string path() const { return family + " " + table + " " + name; }
  bool operator==(const ForeignChain&) const = default;
};

/// Those among nft's JSON list of all chains that are not in table `own`.
std::vector<ForeignChain> read_foreign_chains(std::string_view listing, std::string_view own);

/// The obstacle that `chain` (as nft's JSON lists it) is for machines on the bridge, with the command that lets them
/// through: it drops by its policy or by its last rule, and has no rule about the bridge. nullopt: none.
std::optional<Obstacle> judge_foreign_chain(const ForeignChain& chain, std::string_view listing,
                                            const InterfaceName& bridge);

}  // namespace fireclaw::net
