#include "irc/history.hpp"

#include <algorithm>
#include <cstddef>
#include <initializer_list>

#include "base/number.hpp"
#include "irc/text.hpp"

namespace fireclaw::overseer {
namespace {

constexpr std::size_t most_batches = 100;
/// By how much a server's clock may be behind ours where it does not say when we came.
constexpr std::chrono::seconds clocks_differ{10};
/// A server that answers no pings must not keep us deaf.
constexpr std::chrono::seconds longest_repetition{10};

/// The digits at `at`; none if something else is there.
std::optional<int> number_at(std::string_view text, std::size_t at, std::size_t digits) {
  if (text.size() < at + digits) return std::nullopt;
  const auto value = parse_number<int>(text.substr(at, digits));
  return value < 0 ? std::nullopt : value;
}

bool mentions(const std::string& text, std::initializer_list<std::string_view> words) {
  return std::ranges::any_of(words, [&](auto word) { return text.find(word) != std::string::npos; });
}

}  // namespace

std::optional<WallTime> parse_server_time(std::string_view text) {
  constexpr std::string_view form = "0000-00-00T00:00:00";
  if (text.size() <= form.size() || !text.ends_with('Z')) return std::nullopt;
  for (std::size_t i = 0; i < form.size(); ++i) {
    if (form[i] != '0' && text[i] != form[i]) return std::nullopt;
  }
  const auto year = number_at(text, 0, 4);
  const auto month = number_at(text, 5, 2);
  const auto day = number_at(text, 8, 2);
  const auto hour = number_at(text, 11, 2);
  const auto minute = number_at(text, 14, 2);
  const auto second = number_at(text, 17, 2);
  if (!year || !month || !day || !hour || !minute || !second) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year{*year}, std::chrono::month{static_cast<unsigned>(*month)},
                                         std::chrono::day{static_cast<unsigned>(*day)}};
  if (!date.ok()) return std::nullopt;
  std::chrono::milliseconds fraction{0};
  if (text[form.size()] == '.') fraction = std::chrono::milliseconds{number_at(text, form.size() + 1, 3).value_or(0)};
  return std::chrono::sys_days{date} + std::chrono::hours{*hour} + std::chrono::minutes{*minute} +
         std::chrono::seconds{*second} + fraction;
}

WallTime IrcHistory::time_of(const IrcMessage& message, TimePoint now) const {
  if (const auto told = parse_server_time(message.tag("time"))) return *told;
  return wall_ + std::chrono::duration_cast<WallTime::duration>(now - began_) - clocks_differ;
}

void IrcHistory::on_batch(const IrcMessage& message) {
  const auto reference = message.param(0);
  if (reference.size() < 2) return;
  const auto name = reference.substr(1);
  if (reference[0] == '-') {
    const auto found = batches_.find(name);
    if (found != batches_.end()) batches_.erase(found);
  } else if (reference[0] == '+' && batches_.size() < most_batches &&
             (mentions(fold(message.param(1)), {"history", "playback"}) || batches_.contains(message.tag("batch")))) {
    batches_.emplace(name);
  }
}

bool IrcHistory::on_notice(std::string_view text, TimePoint now) {
  if (!mentions(fold(text), {"replaying", "playback", "history"})) return false;
  repeats_until_ = now + longest_repetition;
  return true;
}

void IrcHistory::on_bouncer(std::string_view text, TimePoint now) {
  const auto said = fold(text);
  if (!mentions(said, {"playback"})) return;
  repeats_until_.reset();
  if (!mentions(said, {"complete", "finished"})) repeats_until_ = now + longest_repetition;
}

void IrcHistory::on_pong(std::string_view token) {
  if (token == mark()) repeats_until_.reset();
}

bool IrcHistory::is_old(const IrcMessage& message, bool in_private, TimePoint now) const {
  if (batches_.contains(message.tag("batch"))) return true;
  if (!in_private && repeats_until_ && now < *repeats_until_) return true;
  const auto said = parse_server_time(message.tag("time"));
  return said && *said < (in_private ? in_private_since_ : in_channel_since_);
}

}  // namespace fireclaw::overseer
