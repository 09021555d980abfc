#pragma once

#include <chrono>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "irc/history.hpp"
#include "irc/identity.hpp"
#include "irc/message.hpp"
#include "irc/outbox.hpp"
#include "irc/pacing.hpp"
#include "irc/registration.hpp"

namespace fireclaw::overseer {

/// The server has let us in.
struct IrcOnline {
  std::string nick;
  /// It says with each message which services account the sender is logged in to.
  bool accounts = false;
  /// What the network calls itself; empty: it does not say.
  std::string network{};
};
/// We are in the control channel.
struct IrcJoined {};
/// Somebody said something, in the control channel or to us alone.
struct IrcText {
  /// nick!user@host
  std::string source;
  /// The services account, as far as the server says; empty: none.
  std::string account;
  bool in_private = false;
  std::string text;
  /// Where it was said: the control channel, or a part of it such as "@#control"; empty in private.
  std::string where;
};
/// Somebody of that nick in the control channel has left IRC or goes by another one: it may be anybody's now.
struct IrcLeft {
  std::string nick;
};
/// Somebody of that nick has left the control channel: what becomes of the nick is not seen any more.
struct IrcParted {
  std::string nick;
};
/// There is nobody of that nick.
struct IrcNobody {
  std::string nick;
};
/// What was said to a nick or a channel has not reached it.
struct IrcUndelivered {
  std::string target;
  std::string why;
};
/// Something did not work that a person should know of.
struct IrcTrouble {
  std::string what;
};
/// The connection is over; why.
struct IrcClosed {
  std::string reason;
};
using IrcEvent =
    std::variant<IrcOnline, IrcJoined, IrcText, IrcLeft, IrcParted, IrcNobody, IrcUndelivered, IrcTrouble, IrcClosed>;

struct IrcTimes {
  std::chrono::seconds registration{60};
  /// How long the message of the day is waited for: some servers have none, and do not say so.
  std::chrono::seconds greeting{5};
  /// Silence after which the server is asked whether it is there.
  std::chrono::seconds ping_after{90};
  std::chrono::seconds ping_timeout{60};
  std::chrono::seconds regain{30};
  /// How long services may take to end a connection that holds our nick.
  std::chrono::seconds ghost{2};
  std::chrono::seconds rejoin{15};
  /// How long a goodbye waits for what is to be said before it.
  std::chrono::seconds goodbye{2};
};

/// One connection as a state machine: bytes and the time go in, bytes and events come out. It knows neither sockets nor
/// clocks, so that any server can be played to it.
class IrcSession {
 public:
  /// `identity` and `pacer` are borrowed. `wall` is what the clock on the wall says at `now`.
  IrcSession(const IrcIdentity& identity, const IrcTimes& times, Pacer& pacer, unsigned seed, TimePoint now,
             WallTime wall);
  IrcSession(const IrcSession&) = delete;
  IrcSession& operator=(const IrcSession&) = delete;

  std::vector<IrcEvent> feed(std::string_view bytes, TimePoint now);
  /// Does what is due.
  std::vector<IrcEvent> tick(TimePoint now);
  /// What may be sent at this moment.
  std::string transmit(TimePoint now);
  /// When tick() or transmit() has something to do again.
  [[nodiscard]] TimePoint deadline(TimePoint now) const;

  /// Queues a clean line for a channel or a nick, in pieces if it is too long. False if it was not taken.
  bool say(const std::string& target, std::string_view line);
  /// Says goodbye once all is said, or soon.
  void quit(std::string_view reason, TimePoint now);

  [[nodiscard]] bool online() const { return ready_; }
  [[nodiscard]] bool joined() const { return joined_; }
  [[nodiscard]] bool quitting() const { return goodbye_.has_value(); }
  [[nodiscard]] bool closed() const { return !closing_.empty(); }
  /// It ended because we said too much.
  [[nodiscard]] bool flooded() const { return flooded_; }
  /// It ended because the server does not want us.
  [[nodiscard]] bool unwelcome() const { return unwelcome_ || registration_.unwelcome(); }
  [[nodiscard]] const std::string& nick() const { return nick_; }
  /// Whether somebody of this nick is in the control channel.
  [[nodiscard]] bool is_member(std::string_view nick) const;

 private:
  void handle(const IrcMessage& message, TimePoint now);
  void on_welcome(const IrcMessage& message, TimePoint now);
  void on_features(const IrcMessage& message);
  void on_modes(const IrcMessage& message);
  void on_ready(TimePoint now);
  void on_join(const IrcMessage& message, TimePoint now);
  void on_leave(std::string_view nick, TimePoint now);
  void on_nick(const IrcMessage& message, TimePoint now);
  void on_names(const IrcMessage& message);
  void on_join_refused(std::string_view channel, const std::string& why, TimePoint now);
  void on_refused(const IrcMessage& message, TimePoint now);
  void on_reply(const IrcMessage& message, TimePoint now);
  void on_notice(const IrcMessage& message, TimePoint now);
  void undelivered(std::string_view target, std::string why);
  void on_text(const IrcMessage& message, TimePoint now);
  void on_ctcp(std::string_view nick, std::string_view request, TimePoint now);
  void on_error(const IrcMessage& message);
  void regain(TimePoint now);
  void freed(std::string_view nick, TimePoint now);
  void on_gone(std::string_view nick, TimePoint now);
  void join(TimePoint now);
  void close(std::string reason);
  [[nodiscard]] bool is_me(std::string_view nick) const;
  [[nodiscard]] bool is_control(std::string_view channel) const;
  /// The nick that is wanted, as far as the server takes it.
  [[nodiscard]] std::string wanted_nick() const { return identity_.nick.substr(0, longest_nick_); }
  [[nodiscard]] std::size_t text_room(std::string_view target) const;
  std::vector<IrcEvent> drain() { return std::exchange(events_, {}); }

  const IrcIdentity& identity_;
  IrcTimes times_;
  IrcLineBuffer buffer_;
  IrcOutbox outbox_;
  IrcRegistration registration_;
  IrcHistory history_;
  Pacer ctcp_;
  std::vector<IrcEvent> events_;

  std::string nick_;
  /// user@host as others see us; empty until known.
  std::string user_host_;
  std::size_t longest_line_ = 512;
  std::size_t longest_nick_ = std::string::npos;
  /// The user mode that says that we are a program; empty: the server has none.
  std::string bot_mode_;
  std::string network_;
  std::set<std::string> members_;
  /// Those of an answer to NAMES that is not complete yet.
  std::set<std::string> arriving_;

  TimePoint register_by_;
  /// By when we act as if the message of the day was over.
  std::optional<TimePoint> ready_by_;
  TimePoint heard_;
  std::optional<TimePoint> pinged_;
  std::optional<TimePoint> regain_at_;
  /// Services have been asked to free it, or it is free.
  bool ghost_told_of_ = false;
  std::optional<TimePoint> join_at_;
  unsigned join_attempts_ = 0;

  bool registered_ = false;
  bool ready_ = false;
  bool joined_ = false;
  struct Goodbye {
    std::string line;
    TimePoint at_the_latest;
  };
  std::optional<Goodbye> goodbye_;
  /// The goodbye is under way; nothing follows it.
  bool quitting_ = false;
  bool flooded_ = false;
  bool unwelcome_ = false;
  std::string closing_;
};

}  // namespace fireclaw::overseer
