#include "crew/operators.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "fireclaw/error.hpp"
#include "irc/text.hpp"

namespace fireclaw::overseer {

Operators::Operators(const std::vector<std::string>& entries) {
  constexpr std::string_view account = "account:";
  for (const auto& entry : entries) {
    const bool plain = entry.find_first_of(std::string_view{" \t\r\n\0", 5}) == std::string::npos;
    const auto user = entry.find('!');
    const auto host = entry.find('@');
    if (plain && entry.starts_with(account) && entry.size() > account.size()) {
      accounts_.insert(fold_letters(entry.substr(account.size())));
    } else if (plain && user != std::string::npos && user > 0 && host != std::string::npos && host > user + 1 &&
               host + 1 < entry.size()) {
      masks_.push_back(entry);
    } else {
      throw Error{ErrorCode::InvalidArgument,
                  fmt::format("operator '{}' is neither a mask like alice!*@example.org nor account:NAME", entry)};
    }
  }
}

bool Operators::lists_account(std::string_view account) const {
  return !account.empty() && account != "*" && accounts_.contains(fold_letters(account));
}

bool Operators::lists_mask(std::string_view source) const {
  return std::ranges::any_of(masks_, [&](const std::string& mask) { return matches(mask, source); });
}

bool AgentTraces::fit(std::string_view source) const {
  const auto nick = fold(source.substr(0, source.find('!')));
  const auto at = source.rfind('@');
  const auto host = at == std::string_view::npos ? std::string_view{} : source.substr(at + 1);
  // An agent that finds its nick taken adds something to it.
  const auto named = [&](const std::string& name) {
    const auto known = fold(name);
    return nick.starts_with(known) && nick.find_first_not_of("_0123456789", known.size()) == std::string::npos;
  };
  return addresses.contains(std::string{host}) || std::ranges::any_of(nicks, named);
}

}  // namespace fireclaw::overseer
