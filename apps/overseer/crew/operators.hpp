#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace fireclaw::overseer {

/// The people who may give commands: masks such as "alice!*@example.org", and services accounts as "account:alice".
/// Without any, everybody in the control channel who is on this machine may, except agents.
class Operators {
 public:
  /// Error(InvalidArgument) naming an entry that is neither.
  explicit Operators(const std::vector<std::string>& entries);

  [[nodiscard]] bool empty() const { return masks_.empty() && accounts_.empty(); }
  [[nodiscard]] bool need_accounts() const { return !accounts_.empty(); }
  /// The sender's services account as the server says it, or empty.
  [[nodiscard]] bool lists_account(std::string_view account) const;
  /// nick!user@host.
  [[nodiscard]] bool lists_mask(std::string_view source) const;

 private:
  std::vector<std::string> masks_;
  std::set<std::string> accounts_;
};

/// Traces that tell an agent from a person without a list of operators.
struct AgentTraces {
  std::set<std::string> nicks;
  std::set<std::string> addresses;

  /// Whether somebody is one of the agents, by nick or by where the connection comes from.
  [[nodiscard]] bool fit(std::string_view source) const;
};

}  // namespace fireclaw::overseer
