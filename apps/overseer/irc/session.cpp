#include "irc/session.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

#include <fmt/format.h>

#include "fireclaw/error.hpp"
#include "fireclaw/version.hpp"
#include "irc/text.hpp"

namespace fireclaw::overseer {
namespace {

/// What others see of us at most, as long as the server has not shown it: user name and host.
constexpr std::size_t longest_user_host = 20 + 1 + 63;
constexpr std::size_t least_room = 64;
constexpr std::size_t longest_reason = 200;
constexpr std::size_t longest_ctcp = 64;
/// Each refused attempt to join doubles the wait for the next, up to 16 times.
constexpr unsigned most_join_doublings = 4;
constexpr std::size_t most_members = 10'000;

bool is_any_of(std::string_view word, std::initializer_list<std::string_view> words) {
  return std::ranges::find(words, word) != words.end();
}

// As the bot has them (agent/bot/irc/denials.py): servers differ in what they call a refusal. 477 and 489 can mean
// either.
bool refuses_join(std::string_view command) {
  return is_any_of(command, {"384", "403", "405", "407", "437", "448", "470", "471", "473", "474", "475",
                             "476", "477", "479", "480", "485", "489", "495", "500", "519", "520", "926"});
}

bool refuses_speech(std::string_view command) {
  return is_any_of(command, {"404", "408", "415", "439", "486", "492", "531", "707", "716"});
}

/// What can be sent back as one parameter.
bool can_be_nick(std::string_view text) {
  return !text.empty() && text[0] != ':' && text.find(' ') == std::string_view::npos;
}

bool contains_any(std::string_view text, std::initializer_list<std::string_view> words) {
  return std::ranges::any_of(words, [&](auto word) { return text.find(word) != std::string_view::npos; });
}

}  // namespace

IrcSession::IrcSession(const IrcIdentity& identity, const IrcTimes& times, Pacer& pacer, unsigned seed, TimePoint now,
                       WallTime wall)
    : identity_{identity},
      times_{times},
      outbox_{pacer},
      registration_{identity, [this](std::string line) { outbox_.urgent(std::move(line)); }, seed},
      history_{wall, now},
      ctcp_{3, Seconds{10}, now},
      nick_{identity.nick},
      register_by_{now + times.registration},
      heard_{now} {}

std::vector<IrcEvent> IrcSession::feed(std::string_view bytes, TimePoint now) {
  if (!bytes.empty()) {
    heard_ = now;
    pinged_.reset();
  }
  for (const auto& line : buffer_.feed(bytes)) {
    if (closed()) break;
    const auto message = parse_irc(line);
    if (!message) continue;
    try {
      handle(*message, now);
    } catch (const Error& problem) {
      // It made us say something that no message can carry.
      events_.push_back(IrcTrouble{fmt::format("invalid message from the server: {}", clean_line(problem.what()))});
    }
  }
  return drain();
}

void IrcSession::handle(const IrcMessage& message, TimePoint now) {
  const auto& command = message.command;
  if (command == "PING") {
    outbox_.urgent(build_irc("PONG", {std::string{message.last()}}));
  } else if (command == "ERROR") {
    on_error(message);
  } else if (!registered_) {
    if (command == "001") return on_welcome(message, now);
    registration_.handle(message);
    nick_ = registration_.nick();
    if (!registration_.failure().empty()) close(registration_.failure());
  } else if (command == "004") {
    on_modes(message);
  } else if (command == "005") {
    on_features(message);
  } else if (command == "376" || command == "422") {
    on_ready(now);
  } else if (command == "PRIVMSG") {
    on_text(message, now);
  } else if (command == "NOTICE") {
    on_notice(message, now);
  } else if (command == "BATCH") {
    history_.on_batch(message);
  } else if (command == "PONG") {
    history_.on_pong(message.last());
  } else if (command == "JOIN") {
    on_join(message, now);
  } else if (command == "INVITE") {
    // Anybody can let us in: it is our channel.
    if (is_me(message.param(0)) && is_control(message.param(1)) && ready_ && !joined_) join_at_ = now;
  } else if (command == "KILL") {
    if (is_me(message.param(0))) {
      events_.push_back(IrcTrouble{
          fmt::format("{} ends our connection: {}", clean_line(message.nick()), clean_line(message.last()))});
    }
  } else if (command == "PART") {
    if (is_control(message.param(0))) on_leave(message.nick(), now);
  } else if (command == "KICK") {
    if (!is_control(message.param(0))) return;
    if (is_me(message.param(1))) {
      events_.push_back(IrcTrouble{fmt::format("{} removed me from {}: {}", clean_line(message.nick()),
                                               identity_.channel, clean_line(message.last()))});
    }
    on_leave(message.param(1), now);
  } else if (command == "QUIT") {
    on_gone(message.nick(), now);
  } else if (command == "NICK") {
    on_nick(message, now);
  } else if (command == "353" || command == "366") {
    on_names(message);
  } else if (command == "401") {
    events_.push_back(IrcNobody{std::string{message.param(1)}});
  } else if (refuses_speech(command)) {
    if (message.params.size() > 2) undelivered(message.param(1), clean_line(message.last()));
  } else if (is_any_of(command, {"FAIL", "WARN"})) {
    on_reply(message, now);
  } else if (command == "396") {
    user_host_.clear();
  } else if (command == "CHGHOST") {
    if (is_me(message.nick())) user_host_ = fmt::format("{}@{}", message.param(0), message.param(1));
  } else if (command == "432" || refuses_join(command)) {
    on_refused(message, now);
  }
}

void IrcSession::on_welcome(const IrcMessage& message, TimePoint now) {
  if (!registration_.welcome()) return close(registration_.failure());
  registered_ = true;
  history_.on_welcome(message, now);
  ready_by_ = now + times_.greeting;
  if (can_be_nick(message.param(0))) nick_ = message.param(0);
  // One that was cut has been given as far as it can be.
  if (nick_.size() < registration_.nick().size() && identity_.nick.starts_with(nick_)) longest_nick_ = nick_.size();
  if (!is_me(wanted_nick())) regain_at_ = registration_.logged_in() ? now : now + times_.regain;
}

void IrcSession::on_features(const IrcMessage& message) {
  for (const std::string_view token : message.params) {
    const auto name = token.substr(0, token.find('='));
    const auto text = token.substr(std::min(name.size() + 1, token.size()));
    std::size_t number = 0;
    std::from_chars(text.data(), text.data() + text.size(), number);
    if (name == "LINELEN") {
      longest_line_ = std::clamp<std::size_t>(number, 512, 16384);
    } else if (name == "NICKLEN" && number > 0) {
      longest_nick_ = number;
      if (is_me(wanted_nick())) regain_at_.reset();
    } else if (name == "NETWORK") {
      network_ = clean_line(text);
    } else if (name == "BOT" && text.size() == 1) {
      bot_mode_ = text;
    }
  }
}

void IrcSession::on_modes(const IrcMessage& message) {
  // Where there is such a mode, it is the one that BOT= names.
  if (message.param(3).find('B') != std::string_view::npos) bot_mode_ = "B";
}

void IrcSession::on_ready(TimePoint now) {
  if (ready_) return;
  ready_ = true;
  ready_by_.reset();
  events_.push_back(IrcOnline{nick_, registration_.enabled("account-tag"), network_});
  // Before we join: some servers spare programs what was said before.
  if (!bot_mode_.empty()) outbox_.command(build_irc("MODE", {nick_, "+" + bot_mode_}));
  join_at_ = now;
}

void IrcSession::join(TimePoint now) {
  std::vector<std::string> params{identity_.channel};
  if (!identity_.channel_key.empty()) params.push_back(identity_.channel_key);
  outbox_.command(build_irc("JOIN", params));
  join_at_ = now + times_.rejoin * (1U << std::min(join_attempts_, most_join_doublings));
  ++join_attempts_;
}

void IrcSession::on_join_refused(std::string_view channel, const std::string& why, TimePoint now) {
  if (!is_control(channel) || joined_) return;
  const auto wait = std::chrono::duration_cast<std::chrono::seconds>(join_at_.value_or(now) - now);
  events_.push_back(
      IrcTrouble{fmt::format("cannot join {}: {}; trying again in {}", identity_.channel, why, human_age(wait))});
}

void IrcSession::on_refused(const IrcMessage& message, TimePoint now) {
  const auto about = message.param(1);
  const auto why = clean_line(message.last());
  if (message.command == "470") {
    on_join_refused(about, fmt::format("the server forwards to {}: {}", clean_line(message.param(2)), why), now);
  } else if (is_any_of(message.command, {"477", "489"}) && (joined_ || !is_control(about))) {
    undelivered(about, why);
  } else if (message.command == "432" || (message.command == "437" && !is_control(about))) {
    events_.push_back(IrcTrouble{fmt::format("cannot be called '{}' here: {}", clean_line(about), why)});
    // A nick that was refused will not become better; one that is taken will.
    if (message.command == "432") regain_at_.reset();
  } else {
    on_join_refused(about, why, now);
  }
}

/// "FAIL <command> <code> [<context>...] :<description>"
void IrcSession::on_reply(const IrcMessage& message, TimePoint now) {
  const auto about = message.param(0);
  const auto context = message.params.size() > 3 ? message.param(2) : std::string_view{};
  const auto why = clean_line(message.last());
  if (message.command == "FAIL" && about == "JOIN" && is_control(context) && !joined_) {
    return on_join_refused(context, why, now);
  }
  if (message.command == "FAIL" && is_any_of(about, {"PRIVMSG", "NOTICE"}) && !context.empty()) {
    return undelivered(context, why);
  }
  events_.push_back(
      IrcTrouble{fmt::format("the server {} of {}: {} ({})", message.command == "FAIL" ? "refuses" : "warns",
                             clean_line(about), why, clean_line(message.param(1)))});
}

void IrcSession::undelivered(std::string_view target, std::string why) {
  events_.push_back(IrcTrouble{fmt::format("not said in {}: {}", clean_line(target), why)});
  events_.push_back(IrcUndelivered{std::string{target}, std::move(why)});
}

void IrcSession::on_notice(const IrcMessage& message, TimePoint now) {
  if (!is_control(message.param(0))) return;
  if (IrcHistory::is_bouncer(message)) return history_.on_bouncer(message.last(), now);
  if (message.source.find('!') != std::string::npos || !history_.on_notice(message.last(), now)) return;
  outbox_.urgent(build_irc("PING", {std::string{IrcHistory::mark()}}));
}

void IrcSession::on_join(const IrcMessage& message, TimePoint now) {
  if (!is_control(message.param(0))) {
    // Where the server has put us instead, or besides, nobody waits for us.
    if (is_me(message.nick()) && !message.param(0).empty()) {
      outbox_.command(build_irc("PART", {std::string{message.param(0)}}));
    }
    return;
  }
  if (members_.size() < most_members) members_.insert(fold(message.nick()));
  if (!is_me(message.nick())) return;
  const std::string_view source = message.source;
  if (const auto mark = source.find('!'); mark != std::string_view::npos) user_host_ = source.substr(mark + 1);
  joined_ = true;
  history_.on_join(message, now);
  join_at_.reset();
  join_attempts_ = 0;
  events_.emplace_back(std::in_place_type<IrcJoined>);
}

void IrcSession::on_leave(std::string_view nick, TimePoint now) {
  members_.erase(fold(nick));
  if (!is_me(nick)) {
    events_.push_back(IrcParted{std::string{nick}});
    return;
  }
  joined_ = false;
  members_.clear();
  outbox_.forget(fold(identity_.channel));
  join_at_ = now + times_.rejoin;
}

void IrcSession::on_nick(const IrcMessage& message, TimePoint now) {
  const std::string to{message.param(0)};
  if (!can_be_nick(to)) return;
  const bool was_there = members_.contains(fold(message.nick()));
  if (is_me(message.nick())) {
    members_.erase(fold(nick_));
    nick_ = to;
    regain_at_.reset();
    const auto wanted = wanted_nick();
    if (to.size() < wanted.size() && wanted.starts_with(to)) longest_nick_ = to.size();
    if (!is_me(wanted_nick())) regain_at_ = now + times_.regain;
  } else {
    on_gone(message.nick(), now);
  }
  if (was_there) members_.insert(fold(to));
}

void IrcSession::on_gone(std::string_view nick, TimePoint now) {
  members_.erase(fold(nick));
  // What waits for them would reach the next one who takes the nick.
  outbox_.forget(fold(nick));
  events_.push_back(IrcLeft{std::string{nick}});
  freed(nick, now);
}

/// Our nick is most likely held by an old connection of ours that the server does not know to be dead. The server finds
/// out after a while; services end that connection at once for a client that is logged in to the nick's account.
void IrcSession::regain(TimePoint now) {
  if (registration_.logged_in() && !std::exchange(ghost_told_of_, true)) {
    outbox_.command(build_irc("PRIVMSG", {"NickServ", fmt::format("GHOST {}", wanted_nick())}));
    regain_at_ = now + times_.ghost;
    return;
  }
  ghost_told_of_ = false;
  outbox_.command(build_irc("NICK", {wanted_nick()}));
  regain_at_ = now + times_.regain;
}

void IrcSession::freed(std::string_view nick, TimePoint now) {
  if (!regain_at_ || fold(nick) != fold(wanted_nick())) return;
  regain_at_ = now;
  ghost_told_of_ = true;
}

void IrcSession::on_names(const IrcMessage& message) {
  if (message.command == "366") {
    if (is_control(message.param(1))) members_ = std::exchange(arriving_, {});
    return;
  }
  if (!is_control(message.param(2))) return;
  auto list = message.last();
  while (!list.empty() && arriving_.size() < most_members) {
    auto name = list.substr(0, list.find(' '));
    list.remove_prefix(std::min(name.size() + 1, list.size()));
    name.remove_prefix(std::min(name.find_first_not_of("~&@%+!"), name.size()));
    if (!name.empty()) arriving_.insert(fold(name));
  }
}

void IrcSession::on_text(const IrcMessage& message, TimePoint now) {
  // A source without "!" is a server: nobody to talk to.
  if (message.params.size() < 2 || message.source.find('!') == std::string::npos || is_me(message.nick())) return;
  const auto target = message.param(0);
  const bool in_private = is_me(target);
  // "@#control" is for those alone who have a mark there.
  const auto marks = is_control(target) ? 0 : std::min(target.find_first_not_of("~&@%+!"), target.size());
  if (!in_private && !is_control(target.substr(marks))) return;
  if (IrcHistory::is_bouncer(message)) {
    if (!in_private) history_.on_bouncer(message.param(1), now);
    return;
  }
  if (history_.is_old(message, in_private, now)) return;
  std::string_view text = message.param(1);
  if (text.starts_with('\x01')) return on_ctcp(message.nick(), text.substr(1, text.find('\x01', 1) - 1), now);
  auto line = clean_line(text);
  if (!line.empty()) {
    // Where that was not agreed upon, anybody might have put it there.
    const auto account = registration_.enabled("account-tag") ? message.tag("account") : std::string_view{};
    const auto where = in_private ? std::string{} : std::string{target.substr(0, marks)} + identity_.channel;
    events_.push_back(IrcText{message.source, std::string{account}, in_private, std::move(line), where});
  }
}

void IrcSession::on_ctcp(std::string_view nick, std::string_view request, TimePoint now) {
  const auto word = request.substr(0, request.find(' '));
  std::string reply;
  if (word == "VERSION") {
    reply = fmt::format("VERSION fireclaw overseer {}", FIRECLAW_VERSION_STRING);
  } else if (word == "PING") {
    reply = clean_line(request.substr(0, longest_ctcp));
  } else {
    return;
  }
  if (!ctcp_.take(now)) return;
  outbox_.command(build_irc("NOTICE", {std::string{nick}, fmt::format("\x01{}\x01", reply)}));
}

void IrcSession::on_error(const IrcMessage& message) {
  const auto reason = clean_line(message.last());
  const auto folded = fold(reason);
  if (contains_any(folded, {"flood", "sendq", "recvq"})) flooded_ = true;
  // When two parts of a network meet, one of two with the same nick has to go: that is nobody's judgement of us.
  const bool collided = contains_any(folded, {"collision"});
  if (!collided && contains_any(folded, {"banned", "d-line", "k-line", "g-line", "z-line", "password"})) {
    unwelcome_ = true;
  }
  close(fmt::format("the server closed the connection: {}", reason.empty() ? "no reason given" : reason));
}

void IrcSession::close(std::string reason) {
  if (closed()) return;
  closing_ = std::move(reason);
  ready_ = joined_ = false;
  events_.push_back(IrcClosed{closing_});
}

std::vector<IrcEvent> IrcSession::tick(TimePoint now) {
  if (closed() || quitting_) return drain();
  if (!registered_) {
    if (now >= register_by_) {
      const auto& complaint = registration_.complaint();
      close(complaint.empty() ? std::string{"the server did not register us in time"}
                              : fmt::format("the server did not register us in time: {}", complaint));
    }
    return drain();
  }
  if (pinged_ && now >= *pinged_ + times_.ping_timeout) {
    close("the server went silent");
    return drain();
  }
  if (!pinged_ && now >= heard_ + times_.ping_after) {
    pinged_ = now;
    outbox_.urgent(build_irc("PING", {"fireclaw"}));
  }
  if (ready_by_ && now >= *ready_by_) on_ready(now);
  if (regain_at_ && now >= *regain_at_) regain(now);
  if (join_at_ && now >= *join_at_) join(now);
  return drain();
}

std::string IrcSession::transmit(TimePoint now) {
  std::string bytes;
  const auto send = [&](bool only_urgent) {
    for (const auto& line : outbox_.take(now, only_urgent)) {
      // The server would cut it, and half a command can mean something else.
      if (line.size() <= longest_line_) bytes += line;
    }
  };
  send(quitting_ || !ready_);
  if (goodbye_ && !quitting_ && (!ready_ || !outbox_.waits() || now >= goodbye_->at_the_latest)) {
    quitting_ = true;
    outbox_.urgent(goodbye_->line);
    send(true);
  }
  return bytes;
}

TimePoint IrcSession::deadline(TimePoint now) const {
  if (closed() || quitting_) return TimePoint::max();
  if (goodbye_) return std::min(goodbye_->at_the_latest, outbox_.ready_at(now));
  if (!registered_) return register_by_;
  auto when = pinged_ ? *pinged_ + times_.ping_timeout : heard_ + times_.ping_after;
  if (ready_by_) when = std::min(when, *ready_by_);
  if (regain_at_) when = std::min(when, *regain_at_);
  if (join_at_) when = std::min(when, *join_at_);
  if (ready_ && outbox_.waits()) when = std::min(when, outbox_.ready_at(now));
  return when;
}

std::size_t IrcSession::text_room(std::string_view target) const {
  // The server puts ":nick!user@host " before what it passes on. The nick may be regained in the meantime.
  const auto nick = std::max(nick_.size(), identity_.nick.size());
  const auto prefix = nick + (user_host_.empty() ? longest_user_host : user_host_.size());
  const auto overhead = prefix + target.size() + std::string_view{":! PRIVMSG  :\r\n"}.size();
  return std::max(longest_line_ > overhead ? longest_line_ - overhead : 0, least_room);
}

bool IrcSession::say(const std::string& target, std::string_view line) {
  if (target.empty() || target.starts_with(':') || target.find_first_of(" ,\r\n") != std::string::npos) return false;
  for (const auto& piece : wrap(line, text_room(target))) {
    if (!outbox_.text(fold(target), build_irc("PRIVMSG", {target, piece}))) return false;
  }
  return true;
}

void IrcSession::quit(std::string_view reason, TimePoint now) {
  if (goodbye_) return;
  goodbye_ = Goodbye{build_irc("QUIT", {shorten(clean_line(reason), longest_reason)}), now + times_.goodbye};
}

bool IrcSession::is_me(std::string_view nick) const { return fold(nick) == fold(nick_); }
bool IrcSession::is_control(std::string_view channel) const { return fold(channel) == fold(identity_.channel); }
bool IrcSession::is_member(std::string_view nick) const { return members_.contains(fold(nick)); }

}  // namespace fireclaw::overseer
