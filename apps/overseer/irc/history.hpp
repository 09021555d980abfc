#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "irc/message.hpp"
#include "irc/pacing.hpp"

namespace fireclaw::overseer {

using WallTime = std::chrono::system_clock::time_point;

/// "2026-01-31T12:00:00.250Z", as servers tag messages. None for anything else.
std::optional<WallTime> parse_server_time(std::string_view text);

/// Tells new messages from old ones, from before we joined. Channels with history and bouncers repeat old ones, under
/// their old senders, and commands must not be obeyed twice.
///
/// A message is old if it is in a batch of history, if its time tag is older than the server's own tag of our arrival,
/// or if the server has said that it repeats something and has not answered our ping since (a bouncer says when it is
/// done). A server that tags its
/// messages but not our arrival is compared with our own clock.
class IrcHistory {
 public:
  /// `wall` is the wall-clock time at `now`.
  IrcHistory(WallTime wall, TimePoint now) : wall_{wall}, began_{now} {}

  /// Takes the server's welcome: older private messages were for somebody else.
  void on_welcome(const IrcMessage& message, TimePoint now) { in_private_since_ = time_of(message, now); }
  /// Our own JOIN.
  void on_join(const IrcMessage& message, TimePoint now) { in_channel_since_ = time_of(message, now); }
  void on_batch(const IrcMessage& message);
  /// A server's notice in the channel. True if it announces a repetition: the server is then to be asked with mark().
  bool on_notice(std::string_view text, TimePoint now);
  /// Whether it comes from a part of a bouncer, which no person's nick can look like.
  static bool is_bouncer(const IrcMessage& message) { return message.source.starts_with('*'); }
  /// A bouncer's words before and after what it repeats.
  void on_bouncer(std::string_view text, TimePoint now);
  /// The answer to a ping; the repetition is over if it was mark().
  void on_pong(std::string_view token);
  static constexpr std::string_view mark() { return "fireclaw-history"; }

  [[nodiscard]] bool is_old(const IrcMessage& message, bool in_private, TimePoint now) const;

 private:
  [[nodiscard]] WallTime time_of(const IrcMessage& message, TimePoint now) const;

  WallTime wall_;
  TimePoint began_;
  WallTime in_private_since_{};
  WallTime in_channel_since_{};
  std::set<std::string, std::less<>> batches_;
  std::optional<TimePoint> repeats_until_;
};

}  // namespace fireclaw::overseer
