#include "gateway/llm/requests.hpp"

#include <doctest/doctest.h>
#include <unistd.h>

#include <ctime>
#include <string>
#include <variant>

#include "fireclaw/error.hpp"
#include "json/json.hpp"
#include "support/peak_memory.hpp"

using namespace fireclaw;
using gateway::Refusal;
using gateway::Route;
using state::LlmApi;

namespace {

int refused_with(std::string_view method, std::string_view target) {
  const auto way = gateway::route(method, target);
  const auto* refusal = std::get_if<Refusal>(&way);
  return refusal == nullptr ? 0 : refusal->status;
}

std::string rule_for(std::string_view body) {
  const auto question = gateway::read_question(body);
  const auto* refusal = std::get_if<Refusal>(&question);
  return refusal == nullptr ? "passed" : refusal->rule;
}

state::LlmUpstream upstream(const std::string& url, const std::string& key = {}) {
  state::LlmUpstream one;
  one.name = "one";
  one.url = url;
  one.key = key;
  return one;
}

}  // namespace

TEST_CASE("four paths are passed on, each with its method") {
  CHECK(gateway::route("POST", "/api/chat") == std::variant<Route, Refusal>{Route{LlmApi::Ollama, true}});
  CHECK(gateway::route("POST", "/v1/chat/completions") == std::variant<Route, Refusal>{Route{LlmApi::OpenAi, true}});
  CHECK(gateway::route("GET", "/api/tags") == std::variant<Route, Refusal>{Route{LlmApi::Ollama, false}});
  CHECK(gateway::route("GET", "/v1/models") == std::variant<Route, Refusal>{Route{LlmApi::OpenAi, false}});
  CHECK(refused_with("GET", "/api/chat") == 405);
  CHECK(refused_with("DELETE", "/api/tags") == 405);
}

TEST_CASE("every other path is refused, however it is written") {
  for (const auto* target : {"/",
                             "/api/pull",
                             "/api/delete",
                             "/api/generate",
                             "/api/chat/",
                             "//api/chat",
                             "/api/./chat",
                             "/api/../api/chat",
                             "/api/chat?x=1",
                             "/api/chat#",
                             "/API/chat",
                             "/api%2fchat",
                             "/api/ch%61t",
                             "/api/chat;x",
                             "/api\\chat",
                             "api/chat",
                             "http://other/api/chat",
                             "*",
                             "",
                             "/v1/embeddings",
                             "/v1/models/x",
                             "/api/chat HTTP/1.1"}) {
    CAPTURE(target);
    CHECK(refused_with("POST", target) == 403);
  }
}

TEST_CASE("a question is one JSON object that names its model once") {
  CHECK(rule_for(R"({"model": "m", "messages": []})") == "passed");
  for (const auto* body : {"", "[]", "null", "{}", R"({"model": ""})", R"({"model": 1})", R"({"model": "m"} {})",
                           R"({"model": "m", "model": "n"})", R"({"model": "m", "Model": "n"})",
                           R"({"model": "m", "MODEL": "n"})", R"({"model": "m",})", "{\"model\": \"\xff\"}"}) {
    CAPTURE(body);
    CHECK(rule_for(body) == "body");
  }
  const std::string longest(256, 'm');
  CHECK(rule_for(R"({"model": ")" + longest + R"("})") == "passed");
  CHECK(rule_for(R"({"model": ")" + longest + R"(m"})") == "body");
}

TEST_CASE("a question of millions of small values costs little more than its length") {
  constexpr std::size_t bytes = std::size_t{16} << 20;
  constexpr long most_kib = 8 * static_cast<long>(bytes >> 10);
  constexpr double most_seconds = test::sanitizer_kib == 0 ? 2 : 10;
  for (const std::string_view small : {"0,", "{},", "\"\",", "[[]],"}) {
    CAPTURE(small);
    std::string body = R"({"model":"m","messages":[)";
    while (body.size() < bytes) body += small;
    body += "0]}";
    const auto before = test::peak_memory_kib(::getpid());
    const auto began = std::clock();
    CHECK(rule_for(body) == "passed");
    CHECK(static_cast<double>(std::clock() - began) / CLOCKS_PER_SEC < most_seconds);
    CHECK(test::peak_memory_kib(::getpid()) - before < most_kib + test::sanitizer_kib);
  }
}

TEST_CASE("an LLM server is sent the path, the body and its key, and nothing else that is the agent's") {
  const auto made =
      gateway::make_request(upstream("https://x.example/v1", "k"), {LlmApi::OpenAi, true}, "{}", {{"k", "v"}});
  CHECK(made.url == "https://x.example/v1/chat/completions");
  CHECK(made.body == "{}");
  CHECK(made.headers == std::vector<std::string>{"User-Agent: fireclaw-gateway", "Authorization: Bearer v",
                                                 "Content-Type: application/json"});
  CHECK(gateway::make_request(upstream("http://a:1"), {LlmApi::OpenAi, true}, "", {}).url ==
        "http://a:1/v1/chat/completions");
  for (const auto* versioned : {"https://g.example/v1beta/openai", "https://z.example/api/paas/v4"}) {
    CHECK(gateway::make_request(upstream(versioned), {LlmApi::OpenAi, true}, "", {}).url ==
          std::string{versioned} + "/chat/completions");
  }
  for (const auto* plain : {"http://v1", "http://v2.example", "http://a/vast"}) {
    CHECK(gateway::make_request(upstream(plain), {LlmApi::OpenAi, false}, "", {}).url ==
          std::string{plain} + "/v1/models");
  }
  CHECK(gateway::make_request(upstream("http://a:1/v1"), {LlmApi::Ollama, true}, "", {}).url == "http://a:1/api/chat");
  const auto list = gateway::make_request(upstream("http://a:1"), {LlmApi::Ollama, false}, "", {});
  CHECK(list.url == "http://a:1/api/tags");
  CHECK_FALSE(list.body);
  CHECK_THROWS_AS(gateway::make_request(upstream("http://a", "gone"), {LlmApi::OpenAi, true}, "", {}), Error);
}

TEST_CASE("what an LLM server says of the key, or of other places, does not reach the agent") {
  const auto one = upstream("http://a");
  CHECK_FALSE(gateway::unfit_answer(one, 200));
  CHECK_FALSE(gateway::unfit_answer(one, 404));
  CHECK(gateway::unfit_answer(one, 401)->status == 502);
  for (const int redirect : {300, 302, 399}) {
    CAPTURE(redirect);
    const auto unfit = gateway::unfit_answer(one, redirect);
    REQUIRE(unfit);
    CHECK(unfit->rule == "redirect");
  }
  CHECK_FALSE(gateway::unfit_answer(one, 299));
  CHECK_FALSE(gateway::unfit_answer(one, 400));
}

TEST_CASE("refusals are errors of the protocol that was asked in, also within an answer") {
  const Refusal refusal{429, "tokens_per_day", "enough \"today\"", {}};
  CHECK(gateway::error_body(LlmApi::Ollama, refusal) == R"({"error":"enough \"today\""})");
  const auto openai = json::Value::parse(gateway::error_body(LlmApi::OpenAi, refusal), "error").at("error");
  CHECK(openai.at("message").as_string() == refusal.reason);
  CHECK(openai.at("type").as_string() == "rate_limit_error");
  CHECK(openai.at("code").as_string() == "tokens_per_day");
  CHECK(gateway::error_event("text/event-stream; charset=utf-8", refusal).starts_with("\n\ndata: {\"error\":{"));
  CHECK(gateway::error_event("application/x-ndjson", refusal).starts_with("\n{\"error\":"));
  CHECK(gateway::error_event("application/json", refusal).empty());
}
