#include <doctest/doctest.h>

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "fireclaw/error.hpp"
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

TEST_CASE("if several limits are reached, the day's is told, and how long it lasts in the unit that fits") {
  state::LlmLimits limits;
  limits.requests_per_day = 1;
  limits.requests_per_minute = 1;
  limits.tokens_per_minute = 5;
  limits.tokens_per_day = 5;
  struct Told {
    std::chrono::seconds passed;
    std::string text;
  };
  for (const auto& [passed, text] : std::vector<Told>{{0s, "24 h"},
                                                      {24h - 7200s, "2 h"},
                                                      {24h - 7199s, "120 min"},
                                                      {24h - 121s, "3 min"},
                                                      {24h - 120s, "2 min"},
                                                      {24h - 119s, "119 s"},
                                                      {24h - 1s, "1 s"}}) {
    HandClock clock;
    gateway::Ledger ledger{clock};
    CHECK_FALSE(ledger.admit("ada", limits));
    ledger.spend("ada", 9);
    clock.pass(passed);
    const auto refusal = ledger.admit("ada", limits);
    REQUIRE(refusal);
    CHECK(refusal->reason == "'ada' has used its 1 requests a day; there is more in " + text);
    clock.pass(24h - passed);
    CHECK_FALSE(ledger.admit("ada", limits));
  }
}

TEST_CASE("tokens of a minute are met exactly, and free as many again as the oldest of them") {
  HandClock clock;
  gateway::Ledger ledger{clock};
  state::LlmLimits limits;
  limits.tokens_per_minute = 10;
  ledger.spend("ada", 4);
  clock.pass(20s);
  ledger.spend("ada", 5);
  CHECK_FALSE(ledger.admit("ada", limits));
  ledger.spend("ada", 1);
  const auto refusal = ledger.admit("ada", limits);
  REQUIRE(refusal);
  CHECK(refusal->rule == "tokens_per_minute");
  CHECK(refusal->retry_after == 40s);
  // More than the first of them frees.
  ledger.spend("ada", 4);
  CHECK(ledger.admit("ada", limits)->retry_after == 60s);
  clock.pass(40s);
  CHECK(ledger.admit("ada", limits)->retry_after == 20s);
  clock.pass(20s);
  CHECK_FALSE(ledger.admit("ada", limits));
}

TEST_CASE("what a minute's limit refuses is not counted in the day") {
  HandClock clock;
  gateway::Ledger ledger{clock};
  state::LlmLimits limits;
  limits.requests_per_minute = 1;
  limits.requests_per_day = 2;
  CHECK_FALSE(ledger.admit("ada", limits));
  for (int i = 0; i < 3; ++i) CHECK(ledger.admit("ada", limits)->rule == "requests_per_minute");
  clock.pass(60s);
  CHECK_FALSE(ledger.admit("ada", limits));
  CHECK(ledger.admit("ada", limits)->rule == "requests_per_day");
}

TEST_CASE("what is taken over counts once, of the day alone, and is refused where it makes no sense") {
  HandClock clock;
  gateway::Ledger ledger{clock};
  state::LlmLimits limits;
  limits.requests_per_day = 4;
  limits.requests_per_minute = 2;
  CHECK_FALSE(ledger.admit("ada", limits));
  CHECK_FALSE(ledger.admit("ada", limits));
  gateway::Ledger next{clock};
  const auto text = ledger.to_json();
  for (int i = 0; i < 2; ++i) next.read(json::Value::parse(text, "usage"));
  CHECK_FALSE(next.admit("ada", limits));
  CHECK_FALSE(next.admit("ada", limits));
  CHECK(next.admit("ada", limits)->rule == "requests_per_day");
  for (const auto* wrong : {R"({"schema": 2, "agents": {}})", R"({"schema": 1, "agents": {}, "more": 1})",
                            R"({"schema": 1, "agents": {"ada": {"requests": [[1]], "tokens": []}}})",
                            R"({"schema": 1, "agents": {"ada": {"requests": [], "tokens": [[1, 2, 3]]}}})",
                            R"({"schema": 1, "agents": {"ada": {"requests": []}}})"}) {
    CAPTURE(wrong);
    CHECK_THROWS_AS(next.read(json::Value::parse(wrong, "usage")), Error);
  }
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

TEST_CASE("the last count that says something counts, in a line of up to a mebibyte, with a line end or without") {
  const auto usage = [](int prompt, int completion) {
    return "data: {\"usage\":{\"prompt_tokens\":" + std::to_string(prompt) +
           ",\"completion_tokens\":" + std::to_string(completion) + "}}";
  };
  const std::string events = "text/event-stream; charset=utf-8";
  CHECK(read(events, usage(1, 2) + "\n" + usage(3, 4) + "\n" + usage(0, 0) + "\n", 4, 9) == Tokens{3, 4, true});
  CHECK(read(events, "data: {}\n\n \r\n" + usage(3, 4), 4, 9) == Tokens{3, 4, true});
  CHECK(read(events, "data: {}\n\n \r\ndata:\t\ndata: [\"usage\"]", 8, 9) == Tokens{2, 2, false});
  constexpr std::size_t longest = std::size_t{1} << 20;
  const auto line = [&](std::size_t length) {
    auto text = usage(3, 4);
    return text.insert(6, length - text.size(), ' ');
  };
  CHECK(read(events, line(longest) + "\n", 4, 65536) == Tokens{3, 4, true});
  CHECK(read(events, line(longest + 1) + "\n", 4, 65536) == Tokens{1, 1, false});
  CHECK(read(events, line(longest + 1), 4, 65536) == Tokens{1, 1, false});
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

TEST_CASE("one that gives up its first request keeps its turn for the next") {
  gateway::Turns turns;
  turns.enter("ada", 1);
  turns.enter("ada", 2);
  turns.enter("bob", 3);
  CHECK_FALSE(turns.next(0));
  CHECK(turns.withdraw(1));
  CHECK_FALSE(turns.withdraw(7));
  CHECK(turns.waiting() == 2);
  CHECK(turns.next(3) == 2u);
  CHECK(turns.next(3) == 3u);
  CHECK_FALSE(turns.next(3));
  CHECK(turns.waiting() == 0);
}

TEST_CASE("the time of a first token is the mean of answers that began, to the millisecond") {
  const auto times = [](std::uint64_t answers, std::uint64_t sum_us, std::uint64_t longest_us) {
    const auto agent = gateway::to_agent({{"ada"}, answers, sum_us, longest_us});
    return std::pair{agent.first_token, agent.longest_first_token};
  };
  CHECK(times(0, 0, 0) == std::pair{0ms, 0ms});
  CHECK(times(2, 500'000, 400'600) == std::pair{250ms, 401ms});
  CHECK(times(1, 400'400, 400'400) == std::pair{400ms, 400ms});
}

TEST_CASE("metrics have a line for each agent and each LLM server") {
  gateway::Status status;
  status.agents.push_back({{"ada", 3, 1, 7, 120, 30}, 2, 500'000, 400'000});
  status.upstreams.push_back({"local", "http://a", 3, 4, 1, 2, "x"});
  status.irc.push_back({"net", "irc:6697", 5, 6, 7, ""});
  status.http = {11, 12, 13, 14};
  status.refused.push_back({"ada", "names", "allowlist", 15});
  const auto text = gateway::to_metrics(status);
  const auto has = [&](const char* line) { return text.find(line) != std::string::npos; };
  CHECK(has("\nfireclaw_llm_requests_total{agent=\"ada\"} 3\n"));
  CHECK(has("\nfireclaw_llm_refused_total{agent=\"ada\"} 1\n"));
  CHECK(has("\nfireclaw_llm_errors_total{agent=\"ada\"} 7\n"));
  CHECK(has("\nfireclaw_llm_prompt_tokens_total{agent=\"ada\"} 120\n"));
  CHECK(has("\nfireclaw_llm_completion_tokens_total{agent=\"ada\"} 30\n"));
  CHECK(has("\nfireclaw_llm_upstream_requests_total{upstream=\"local\"} 3\n"));
  CHECK(has("\nfireclaw_llm_upstream_errors_total{upstream=\"local\"} 4\n"));
  CHECK(has("\nfireclaw_llm_upstream_running{upstream=\"local\"} 1\n"));
  CHECK(has("\nfireclaw_irc_connections_total{server=\"net\"} 5\n"));
  CHECK(has("\nfireclaw_irc_errors_total{server=\"net\"} 6\n"));
  CHECK(has("\nfireclaw_irc_open{server=\"net\"} 7\n"));
  CHECK(has("\nfireclaw_http_connections_total 11\n"));
  CHECK(has("\nfireclaw_http_refused_total 12\n"));
  CHECK(has("\nfireclaw_http_errors_total 13\n"));
  CHECK(has("\nfireclaw_http_open 14\n"));
  CHECK(has("\nfireclaw_refused_total{agent=\"ada\",by=\"names\",rule=\"allowlist\"} 15\n"));
  CHECK(has("\nfireclaw_llm_first_token_seconds_sum{agent=\"ada\"} 0.5\n"));
  CHECK(has("\nfireclaw_llm_first_token_seconds_count{agent=\"ada\"} 2\n"));
  CHECK(has("\nfireclaw_llm_upstream_waiting{upstream=\"local\"} 2\n"));
  CHECK(json::read_record<gateway::Status>(json::Value::parse(json::record_text(status), "status")) == status);
}
