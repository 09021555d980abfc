#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "state/settings/gateway.hpp"
#include "state/settings/secrets.hpp"

namespace fireclaw::gateway {

/// The gateway's login at an IRC server, before it passes on an agent's lines: the server's password, and SASL (IRCv3,
/// mechanism PLAIN). It begins and ends its own negotiation of capabilities, so the agent can still negotiate with the
/// server, or not. A state machine without socket or clock.
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

  /// The first bytes to send.
  std::string begin();
  /// Takes the server's next bytes, in pieces of any size.
  Step feed(std::string_view bytes);
  /// Whether the login is over: from now on all is passed on.
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
