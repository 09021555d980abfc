#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "gateway/llm/requests.hpp"
#include "json/json.hpp"
#include "state/settings/gateway.hpp"

namespace fireclaw::gateway {

/// A sum over the last 60 slots of time, of a second or of 24 minutes each. The slot that has just begun is one of
/// them.
class Window {
 public:
  explicit Window(std::chrono::seconds slot) : slot_{slot} {}

  void add(std::chrono::system_clock::time_point now, std::uint64_t amount);
  [[nodiscard]] std::uint64_t sum(std::chrono::system_clock::time_point now) const;
  /// The time until the sum is below `limit` again if nothing is added; at least a second.
  [[nodiscard]] std::chrono::seconds until_below(std::chrono::system_clock::time_point now, std::uint64_t limit) const;

  void write(json::Writer& out) const;
  /// Error(Corrupt).
  void read(const json::Value& value);

 private:
  struct Slot {
    std::int64_t number;
    std::uint64_t amount;
  };
  [[nodiscard]] std::int64_t number(std::chrono::system_clock::time_point now) const;

  std::chrono::seconds slot_;
  std::vector<Slot> slots_;
};

/// What each agent has used within its limits. Tokens are known once they are spent, so the request that passes a limit
/// is the last one answered. Use from one thread.
class Ledger {
 public:
  explicit Ledger(const Clock& clock) : clock_{clock} {}

  /// Counts a request, unless a limit is reached: that is the refusal.
  std::optional<Refusal> admit(const std::string& agent, const state::LlmLimits& limits);
  void spend(const std::string& agent, std::uint64_t tokens);

  /// What the day's limits need: a file's text.
  [[nodiscard]] std::string to_json() const;
  /// Takes such a text over. Error(Corrupt).
  void read(const json::Value& value);

 private:
  struct Account {
    Window minute_requests{std::chrono::seconds{1}};
    Window minute_tokens{std::chrono::seconds{1}};
    Window day_requests{std::chrono::minutes{24}};
    Window day_tokens{std::chrono::minutes{24}};
  };

  const Clock& clock_;
  std::map<std::string, Account> accounts_;
};

}  // namespace fireclaw::gateway
