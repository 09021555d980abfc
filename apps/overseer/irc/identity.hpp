#pragma once

#include <string>

namespace fireclaw::overseer {

/// Our identity on IRC.
struct IrcIdentity {
  std::string nick = "overseer";
  std::string user = "overseer";
  std::string realname = "fireclaw overseer";
  /// The server's password; empty: none.
  std::string password;
  /// The services account to log in to; empty: none.
  std::string sasl_user;
  std::string sasl_password;
  /// The control channel and its key.
  std::string channel = "#control";
  std::string channel_key;
};

}  // namespace fireclaw::overseer
