#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "state/settings/gateway.hpp"
#include "state/settings/secrets.hpp"

namespace fireclaw::gateway {

/// What the gateway says to an IRC server before it passes on what the agent says: the server's password, and a login
/// by SASL (IRCv3, mechanism PLAIN). It begins and ends a negotiation of capabilities of its own, so an agent that
/// negotiates some, or does not know how, is served as by the server itself. A state machine without socket or clock.
class IrcLogin {
 public:
  struct Credentials {
    /// The server's; empty: none.
    std::string password;
    /// Empty: no login.
    std::string user;
    std::string user_password;
  };
  struct Step {
    std::string to_server;
    std::string to_agent;
  };

  explicit IrcLogin(Credentials credentials);

  /// What is said first.
  std::string begin();
  /// What the server has said next, in pieces of any size.
  Step feed(std::string_view bytes);
  /// From now on all is passed on.
  [[nodiscard]] bool done() const noexcept { return done_; }
  /// Why there will be no login.
  [[nodiscard]] const std::optional<std::string>& failure() const noexcept { return failure_; }

 private:
  void on_line(std::string_view line, Step& step);

  Credentials credentials_;
  std::string unread_;
  bool asked_ = false;
  bool told_ = false;
  bool done_ = false;
  std::optional<std::string> failure_;
};

/// Error(NotFound) if a secret that the upstream needs is not there.
IrcLogin::Credentials credentials_of(const state::IrcUpstream& upstream, const state::SecretStore::Secrets& secrets);

/// The last line of a connection, as servers say it.
std::string irc_error(std::string_view reason);

}  // namespace fireclaw::gateway
