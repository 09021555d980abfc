#pragma once

#include <functional>
#include <map>
#include <random>
#include <set>
#include <string>
#include <string_view>

#include "irc/identity.hpp"
#include "irc/message.hpp"

namespace fireclaw::overseer {

/// The beginning of a connection: capabilities, SASL, and a nick that the server accepts.
class IrcRegistration {
 public:
  using Send = std::function<void(std::string line)>;

  /// Sends the first lines. `identity` is borrowed.
  IrcRegistration(const IrcIdentity& identity, Send send, unsigned seed);

  /// A message that came before the welcome.
  void handle(const IrcMessage& message);
  /// Takes the server's welcome. False if it is not enough, because a login was due before.
  bool welcome();

  /// Services know us by an account.
  [[nodiscard]] bool logged_in() const { return authenticated_; }
  /// The nick that was asked for last.
  [[nodiscard]] const std::string& nick() const { return nick_; }
  /// Why there will be no registration; empty as long as there may be one.
  [[nodiscard]] const std::string& failure() const { return failure_; }
  /// The server knows us and refuses us: it is useless to ask again soon.
  [[nodiscard]] bool unwelcome() const { return unwelcome_; }
  [[nodiscard]] bool enabled(const std::string& capability) const { return enabled_.contains(capability); }
  /// What the server has complained of last; empty: nothing.
  [[nodiscard]] const std::string& complaint() const { return complaint_; }

 private:
  void on_cap(const IrcMessage& message);
  void request();
  void on_taken(std::string_view list);
  void on_refused(std::string_view list);
  /// Continues: all that was asked for has been answered.
  void proceed();
  void authenticate();
  void try_other_nick(bool invalid);
  void refuse(const std::string& why);
  [[nodiscard]] bool wants_login() const { return !identity_.sasl_user.empty(); }

  const IrcIdentity& identity_;
  Send send_;
  std::minstd_rand random_;
  std::map<std::string, std::string> offered_;
  std::set<std::string> enabled_;
  /// Asked for, and not answered yet.
  std::set<std::string> open_;
  bool asked_one_by_one_ = false;
  bool agreed_ = false;
  bool authenticated_ = false;
  unsigned refusals_ = 0;
  std::size_t longest_nick_ = 30;
  std::string nick_;
  std::string failure_;
  std::string complaint_;
  bool unwelcome_ = false;
};

}  // namespace fireclaw::overseer
