#include "gateway/llm/ledger.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace fireclaw::gateway {
namespace {

constexpr std::int64_t slots_kept = 60;
constexpr unsigned schema = 1;

std::string duration(std::chrono::seconds time) {
  if (time < std::chrono::minutes{2}) return fmt::format("{} s", time.count());
  if (time < std::chrono::hours{2}) return fmt::format("{} min", std::chrono::ceil<std::chrono::minutes>(time).count());
  return fmt::format("{} h", std::chrono::ceil<std::chrono::hours>(time).count());
}

}  // namespace

std::int64_t Window::number(std::chrono::system_clock::time_point now) const {
  return std::chrono::floor<std::chrono::seconds>(now).time_since_epoch() / slot_;
}

void Window::add(std::chrono::system_clock::time_point now, std::uint64_t amount) {
  const auto current = number(now);
  std::erase_if(slots_, [&](const Slot& slot) { return slot.number <= current - slots_kept; });
  const auto found = std::ranges::find(slots_, current, &Slot::number);
  if (found == slots_.end()) {
    slots_.push_back({current, amount});
  } else {
    found->amount += amount;
  }
}

std::uint64_t Window::sum(std::chrono::system_clock::time_point now) const {
  const auto current = number(now);
  std::uint64_t total = 0;
  for (const auto& slot : slots_) total += slot.number > current - slots_kept ? slot.amount : 0;
  return total;
}

std::chrono::seconds Window::until_below(std::chrono::system_clock::time_point now, std::uint64_t limit) const {
  auto slots = slots_;
  std::ranges::sort(slots, {}, &Slot::number);
  const auto current = number(now);
  auto left = sum(now);
  auto until = now;
  for (const auto& slot : slots) {
    if (left < limit) break;
    if (slot.number <= current - slots_kept) continue;
    left -= slot.amount;
    until = std::chrono::system_clock::time_point{slot_ * (slot.number + slots_kept)};
  }
  return std::max(std::chrono::seconds{1}, std::chrono::ceil<std::chrono::seconds>(until - now));
}

void Window::write(json::Writer& out) const {
  out.begin_array();
  for (const auto& slot : slots_) {
    out.begin_array().value(slot.number).value(slot.amount).end_array();
  }
  out.end_array();
}

void Window::read(const json::Value& value) {
  slots_.clear();
  for (const auto& entry : value.as_array()) {
    const auto& pair = entry.as_array();
    if (pair.size() != 2) entry.fail("must be a slot's number and what was used in it");
    slots_.push_back({pair[0].as_int(), pair[1].as_uint()});
  }
}

std::optional<Refusal> Ledger::admit(const std::string& agent, const state::LlmLimits& limits) {
  auto& account = accounts_.try_emplace(agent).first->second;
  const auto now = clock_.wall_now();
  struct Limit {
    const std::optional<std::uint64_t>& most;
    const Window& window;
    const char* rule;
    const char* text;
  };
  const Limit all[] = {
      {limits.requests_per_day, account.day_requests, "requests_per_day", "requests a day"},
      {limits.tokens_per_day, account.day_tokens, "tokens_per_day", "tokens a day"},
      {limits.requests_per_minute, account.minute_requests, "requests_per_minute", "requests a minute"},
      {limits.tokens_per_minute, account.minute_tokens, "tokens_per_minute", "tokens a minute"},
  };
  for (const auto& limit : all) {
    if (!limit.most || limit.window.sum(now) < *limit.most) continue;
    const auto wait = limit.window.until_below(now, *limit.most);
    return Refusal{
        429, limit.rule,
        fmt::format("'{}' has used its {} {}; there is more in {}", agent, *limit.most, limit.text, duration(wait)),
        wait};
  }
  account.minute_requests.add(now, 1);
  account.day_requests.add(now, 1);
  return std::nullopt;
}

void Ledger::spend(const std::string& agent, std::uint64_t tokens) {
  auto& account = accounts_.try_emplace(agent).first->second;
  const auto now = clock_.wall_now();
  account.minute_tokens.add(now, tokens);
  account.day_tokens.add(now, tokens);
}

std::string Ledger::to_json() const {
  json::Writer out{json::Writer::Style::Pretty};
  out.begin_object();
  out.field("schema", schema);
  out.key("agents").begin_object();
  for (const auto& [name, account] : accounts_) {
    out.key(name).begin_object();
    account.day_requests.write(out.key("requests"));
    account.day_tokens.write(out.key("tokens"));
    out.end_object();
  }
  out.end_object();
  out.end_object();
  return out.take();
}

void Ledger::read(const json::Value& value) {
  value.only({"schema", "agents"});
  if (value.at("schema").as_uint() != schema) value.at("schema").fail("is of another version");
  for (const auto& [name, account] : value.at("agents").as_object()) {
    auto& into = accounts_.try_emplace(name).first->second;
    into.day_requests.read(account.at("requests"));
    into.day_tokens.read(account.at("tokens"));
  }
}

}  // namespace fireclaw::gateway
