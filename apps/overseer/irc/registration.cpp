#include "irc/registration.hpp"

#include <algorithm>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "irc/text.hpp"
#include "sys/base64.hpp"

namespace fireclaw::overseer {
namespace {

/// Where history can be asked for, servers and bouncers do not say it unasked.
constexpr std::string_view wanted_capabilities[] = {
    "account-tag",  "batch",       "chghost",          "draft/chathistory", "inspircd.org/standard-replies",
    "message-tags", "server-time", "standard-replies", "znc.in/playback"};
constexpr std::size_t most_offered = 200;
constexpr unsigned most_refusals = 20;
constexpr std::size_t longest_complaint = 200;
/// What the standard promises.
constexpr std::size_t standard_nick = 9;
/// AUTHENTICATE takes so much at a time, and something shorter ends it.
constexpr std::size_t sasl_chunk = 400;

template <typename Use>
void each_word(std::string_view text, Use use) {
  while (!text.empty()) {
    const auto word = text.substr(0, text.find(' '));
    text.remove_prefix(std::min(word.size() + 1, text.size()));
    if (!word.empty()) use(word);
  }
}

bool contains_mechanism(const std::string& list, std::string_view wanted) {
  const auto words = "," + list + ",";
  return words.find(fmt::format(",{},", wanted)) != std::string::npos;
}

}  // namespace

IrcRegistration::IrcRegistration(const IrcIdentity& identity, Send send, unsigned seed)
    : identity_{identity}, send_{std::move(send)}, random_{seed}, nick_{identity.nick} {
  if (!identity_.password.empty()) send_(build_irc("PASS", {identity_.password}));
  send_(build_irc("CAP", {"LS", "302"}));
  send_(build_irc("NICK", {nick_}));
  send_(build_irc("USER", {identity_.user, "0", "*", identity_.realname}));
}

void IrcRegistration::handle(const IrcMessage& message) {
  const auto& command = message.command;
  if (command == "CAP") {
    on_cap(message);
  } else if (command == "AUTHENTICATE") {
    if (wants_login() && !authenticated_ && message.param(0) == "+") authenticate();
  } else if (command == "903") {
    authenticated_ = true;
    send_(build_irc("CAP", {"END"}));
  } else if (command == "902" || command == "904" || command == "905" || command == "906" || command == "908") {
    const auto why = clean_line(message.last());
    if (wants_login() && !authenticated_) refuse(why.empty() ? "no reason given" : why);
  } else if (command == "432") {
    try_other_nick(true);
  } else if (command == "433" || command == "436" || command == "437") {
    try_other_nick(false);
  } else if (command == "464" || command == "465") {
    unwelcome_ = true;
  }
  const bool error = command.size() == 3 && (command[0] == '4' || command[0] == '5') && command != "421";
  if (error || command == "FAIL") complaint_ = shorten(clean_line(message.last()), longest_complaint);
}

void IrcRegistration::on_cap(const IrcMessage& message) {
  const auto verb = message.param(1);
  const auto list = message.params.size() > 2 ? message.last() : std::string_view{};
  if (verb == "LS") {
    each_word(list, [&](std::string_view word) {
      const auto name = word.substr(0, word.find('='));
      if (offered_.size() == most_offered) return;
      offered_[std::string{name}] = name.size() < word.size() ? word.substr(name.size() + 1) : std::string_view{};
    });
    // An asterisk: more is to come.
    if (message.param(2) != "*") request();
  } else if (verb == "ACK") {
    on_taken(list);
  } else if (verb == "NAK") {
    on_refused(list);
  }
}

void IrcRegistration::on_taken(std::string_view list) {
  each_word(list, [&](std::string_view word) {
    enabled_.emplace(word);
    open_.erase(std::string{word});
  });
  if (open_.empty()) proceed();
}

void IrcRegistration::on_refused(std::string_view list) {
  std::set<std::string> refused;
  each_word(list, [&](std::string_view word) { refused.emplace(word); });
  if (wants_login() && refused == std::set<std::string>{"sasl"}) return refuse("the server does not allow it");
  if (!std::exchange(asked_one_by_one_, true) && open_.size() > 1) {
    // One of them is not to its liking; it does not say which.
    for (const auto& name : open_) send_(build_irc("CAP", {"REQ", name}));
    return;
  }
  for (const auto& name : refused) open_.erase(name);
  if (refused.empty()) open_.clear();
  if (open_.empty()) proceed();
}

void IrcRegistration::proceed() {
  if (std::exchange(agreed_, true)) return;
  if (wants_login() && !enabled("sasl")) return refuse("the server does not allow it");
  send_(wants_login() ? build_irc("AUTHENTICATE", {"PLAIN"}) : build_irc("CAP", {"END"}));
}

void IrcRegistration::request() {
  std::string wanted;
  if (wants_login()) {
    const auto sasl = offered_.find("sasl");
    if (sasl == offered_.end()) return refuse("the server offers none");
    if (!sasl->second.empty() && !contains_mechanism(sasl->second, "PLAIN")) {
      return refuse(fmt::format("the server offers {} but not PLAIN", sasl->second));
    }
    wanted = "sasl";
    open_.emplace(wanted);
  }
  for (const auto name : wanted_capabilities) {
    if (!offered_.contains(std::string{name})) continue;
    wanted += fmt::format("{}{}", wanted.empty() ? "" : " ", name);
    open_.emplace(name);
  }
  if (wanted.empty()) return proceed();
  send_(build_irc("CAP", {"REQ", wanted}));
}

void IrcRegistration::authenticate() {
  std::string secret;
  secret += '\0';
  secret += identity_.sasl_user;
  secret += '\0';
  secret += identity_.sasl_password;
  const auto token = sys::to_base64(secret);
  for (std::size_t at = 0; at < token.size(); at += sasl_chunk) {
    send_(build_irc("AUTHENTICATE", {token.substr(at, sasl_chunk)}));
  }
  if (token.size() % sasl_chunk == 0) send_(build_irc("AUTHENTICATE", {"+"}));
}

bool IrcRegistration::welcome() {
  if (wants_login() && !authenticated_) refuse("the server accepted us without it");
  return failure_.empty();
}

void IrcRegistration::refuse(const std::string& why) {
  // Continuing without the account would leave the nick, and with it everybody's trust, to the one who comes first.
  failure_ = fmt::format("SASL login as '{}' failed: {}", identity_.sasl_user, why);
  unwelcome_ = true;
}

void IrcRegistration::try_other_nick(bool invalid) {
  if (++refusals_ > most_refusals) {
    failure_ = "the server refused every nick";
    return;
  }
  // Too long is the one complaint about a nick itself that can be met.
  if (invalid)
    longest_nick_ = longest_nick_ > standard_nick ? standard_nick : std::max<std::size_t>(longest_nick_ - 1, 1);
  const auto suffix = invalid          ? std::string{}
                      : refusals_ <= 2 ? std::string(refusals_, '_')
                                       : std::to_string(std::uniform_int_distribution{0, 999}(random_));
  const auto room = longest_nick_ > suffix.size() ? longest_nick_ - suffix.size() : 1;
  nick_ = identity_.nick.substr(0, room) + suffix;
  send_(build_irc("NICK", {nick_}));
}

}  // namespace fireclaw::overseer
