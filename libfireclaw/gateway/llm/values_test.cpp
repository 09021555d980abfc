#include <doctest/doctest.h>

#include <chrono>
#include <string>
#include <vector>

#include "gateway/llm/ledger.hpp"
#include "gateway/llm/tokens.hpp"
#include "gateway/llm/turns.hpp"
#include "gateway/records/counters.hpp"
#include "json/json.hpp"

using namespace fireclaw;
using namespace std::chrono_literals;
using gateway::Tokens;

namespace {

class HandClock final : public Clock {
 public:
  [[nodiscard]] std::chrono::steady_clock::time_point steady_now() const override {
    return std::chrono::steady_clock::time_point{now_};
  }
  [[nodiscard]] std::chrono::system_clock::time_point wall_now() const override {
    return std::chrono::system_clock::time_point{now_};
  }
  void pass(std::chrono::seconds time) { now_ += time; }

 private:
  std::chrono::seconds now_ = std::chrono::hours{24 * 365};
};

/// The text in pieces of `size`.
Tokens read(const std::string& type, const std::string& text, std::size_t prompt_bytes, std::size_t size) {
  gateway::TokenReader reader{type, prompt_bytes};
  for (std::size_t at = 0; at < text.size(); at += size) reader.feed(std::string_view{text}.substr(at, size));
  return reader.finish();
}

}  // namespace

TEST_CASE("a limit of requests is reached, and there is room again when the first of them is a minute old") {
  HandClock clock;
  gateway::Ledger ledger{clock};
  state::LlmLimits limits;
  limits.requests_per_minute = 2;
  CHECK_FALSE(ledger.admit("ada", limits));
  clock.pass(10s);
  CHECK_FALSE(ledger.admit("ada", limits));
  const auto refusal = ledger.admit("ada", limits);
  REQUIRE(refusal);
  CHECK(refusal->status == 429);
  CHECK(refusal->rule == "requests_per_minute");
  CHECK(refusal->reason == "'ada' has used its 2 requests a minute; there is more in 50 s");
  CHECK(refusal->retry_after == 50s);
  // Another agent has limits of its own, and what was refused does not count.
  CHECK_FALSE(ledger.admit("bob", limits));
  clock.pass(49s);
  CHECK(ledger.admit("ada", limits));
  clock.pass(1s);
  CHECK_FALSE(ledger.admit("ada", limits));
}

TEST_CASE("what is counted in the last second of a minute does not push out what was in its first") {
  HandClock clock;
  gateway::Ledger ledger{clock};
  state::LlmLimits limits;
  limits.requests_per_minute = 2;
  CHECK_FALSE(ledger.admit("ada", limits));
  clock.pass(59s);
  CHECK_FALSE(ledger.admit("ada", limits));
  const auto refusal = ledger.admit("ada", limits);
  REQUIRE(refusal);
  CHECK(refusal->retry_after == 1s);
}

TEST_CASE("tokens of a day count, also in the next gateway") {
  HandClock clock;
  gateway::Ledger ledger{clock};
  state::LlmLimits limits;
  limits.tokens_per_day = 100;
  ledger.spend("ada", 99);
  CHECK_FALSE(ledger.admit("ada", limits));
  ledger.spend("ada", 50);
  gateway::Ledger next{clock};
  next.read(json::Value::parse(ledger.to_json(), "usage"));
  clock.pass(12h);
  const auto refusal = next.admit("ada", limits);
  REQUIRE(refusal);
  CHECK(refusal->rule == "tokens_per_day");
  CHECK(refusal->reason == "'ada' has used its 100 tokens a day; there is more in 12 h");
  clock.pass(12h);
  CHECK_FALSE(next.admit("ada", limits));
}

TEST_CASE("tokens are counted as servers say, wherever their answers are cut") {
  const std::string ollama =
      "{\"message\":{\"content\":\"a\"},\"done\":false}\n"
      "{\"message\":{\"content\":\"\"},\"done\":true,\"prompt_eval_count\":12,\"eval_count\":3}\n";
  const std::string openai =
      "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}],\"usage\":null}\r\n\r\n"
      "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":12,\"completion_tokens\":3}}\n\ndata: [DONE]\n\n";
  const std::string whole = "{\n \"choices\": [],\n \"usage\": {\"prompt_tokens\": 12, \"completion_tokens\": 3}}\n";
  for (const std::size_t size : {1u, 2u, 7u, 1000u}) {
    CHECK(read("application/x-ndjson", ollama, 400, size) == Tokens{12, 3, true});
    CHECK(read("text/event-stream", openai, 400, size) == Tokens{12, 3, true});
    CHECK(read("application/json", whole, 400, size) == Tokens{12, 3, true});
  }
}

TEST_CASE("where a server does not count, events and bytes do") {
  CHECK(read("text/event-stream", "data: {\"a\":1}\n\ndata: {\"a\":2}\n\n", 400, 5) == Tokens{100, 2, false});
  CHECK(read("application/json", std::string(40, 'x'), 400, 5) == Tokens{100, 10, false});
  // What cannot be is not a count, and a line without end is not kept.
  CHECK(read("application/x-ndjson", "{\"eval_count\":-5}\n{\"eval_count\":\"x\"}\n", 4, 100) == Tokens{1, 2, false});
  CHECK(read("application/x-ndjson", std::string(3 << 20, 'x') + "\n{\"eval_count\":4}\n", 4, 65536) ==
        Tokens{0, 4, true});
}

TEST_CASE("agents take turns, also when one asks more") {
  gateway::Turns turns;
  for (const auto ticket : {1u, 2u, 3u}) turns.enter("ada", ticket);
  turns.enter("bob", 10);
  turns.enter("cy", 20);
  std::vector<gateway::Turns::Ticket> order;
  for (auto next = turns.next(1); next; next = turns.next(1)) {
    order.push_back(*next);
    turns.leave();
  }
  CHECK(order == std::vector<gateway::Turns::Ticket>{1, 10, 20, 2, 3});
}

TEST_CASE("no more are served than there are places, and one that gives up loses its turn") {
  gateway::Turns turns;
  turns.enter("ada", 1);
  turns.enter("ada", 2);
  turns.enter("bob", 3);
  CHECK(turns.next(2) == 1u);
  CHECK(turns.waiting() == 2);
  CHECK(turns.withdraw(3));
  CHECK_FALSE(turns.withdraw(3));
  CHECK(turns.next(2) == 2u);
  turns.enter("bob", 4);
  CHECK_FALSE(turns.next(2));
  CHECK(turns.served() == 2);
  turns.leave();
  CHECK(turns.next(2) == 4u);
}

TEST_CASE("metrics have a line for each agent and each LLM server") {
  gateway::Status status;
  status.agents.push_back({{"ada", 3, 1, 0, 120, 30}, 2, 500'000, 400'000});
  status.upstreams.push_back({"local", "http://a", 3, 1, 1, 2, "x"});
  const auto text = gateway::to_metrics(status);
  const auto has = [&](const char* line) { return text.find(line) != std::string::npos; };
  CHECK(has("\nfireclaw_llm_requests_total{agent=\"ada\"} 3\n"));
  CHECK(has("\nfireclaw_llm_first_token_seconds_sum{agent=\"ada\"} 0.5\n"));
  CHECK(has("\nfireclaw_llm_first_token_seconds_count{agent=\"ada\"} 2\n"));
  CHECK(has("\nfireclaw_llm_upstream_waiting{upstream=\"local\"} 2\n"));
  CHECK(json::read_record<gateway::Status>(json::Value::parse(json::record_text(status), "status")) == status);
}
