#include "net/firewall/foreign.hpp"

#include <fmt/format.h>

#include "json/json.hpp"

namespace fireclaw::net {
namespace {

bool is(const json::Value& object, std::string_view key, std::string_view value) {
  const auto member = object.find(key);
  return member && member->is_string() && member->as_string() == value;
}

/// Whether a rule ends every packet: a verdict, and beside it only what looks on.
bool ends_all(const json::Value& rule) {
  const auto expressions = rule.find("expr");
  if (!expressions) return false;
  bool ends = false;
  for (const auto& expression : expressions->as_array()) {
    if (expression.find("drop") || expression.find("reject")) {
      ends = true;
    } else if (!expression.find("counter") && !expression.find("log")) {
      return false;
    }
  }
  return ends;
}

std::string remedy_for(const ForeignChain& chain, const InterfaceName& bridge) {
  if (chain.table == "firewalld") return fmt::format("firewall-cmd --zone=trusted --add-interface={}", bridge.str());
  const auto accept = [&](std::string_view direction) {
    return fmt::format("nft 'insert rule {} {} \"{}\" accept'", chain.path(), direction, bridge.str());
  };
  return chain.hook == "input" ? accept("iifname") : accept("iifname") + "; " + accept("oifname");
}

}  // namespace

std::vector<ForeignChain> read_foreign_chains(std::string_view listing, std::string_view own) {
  std::vector<ForeignChain> found;
  const auto document = json::Value::parse(listing, "nftables' list");
  for (const auto& object : document.at("nftables").as_array()) {
    const auto chain = object.find("chain");
    if (!chain) continue;
    const bool routed = is(*chain, "family", "ip") || is(*chain, "family", "inet");
    const bool hooked = is(*chain, "hook", "input") || is(*chain, "hook", "forward");
    if (!routed || !hooked || is(*chain, "table", own)) continue;
    found.push_back({chain->at("family").as_string(), chain->at("table").as_string(), chain->at("name").as_string(),
                     chain->at("hook").as_string(), is(*chain, "policy", "drop")});
  }
  return found;
}

std::optional<Obstacle> judge_foreign_chain(const ForeignChain& chain, std::string_view listing,
                                            const InterfaceName& bridge) {
  // A rule about the bridge, whatever it says, was made by somebody who knows of it.
  if (listing.find(fmt::format("\"{}\"", bridge.str())) != std::string_view::npos) return std::nullopt;
  bool drops = chain.drops_by_policy;
  const auto document = json::Value::parse(listing, "nftables' list");
  for (const auto& object : document.at("nftables").as_array()) {
    if (const auto rule = object.find("rule")) drops = chain.drops_by_policy || ends_all(*rule);
  }
  if (!drops) return std::nullopt;
  return Obstacle{
      fmt::format("chain {} of table {} {} drops packets that it does not know: machines will not reach {}", chain.name,
                  chain.family, chain.table, chain.hook == "input" ? "the gateway's services" : "beyond this host"),
      remedy_for(chain, bridge)};
}

}  // namespace fireclaw::net
