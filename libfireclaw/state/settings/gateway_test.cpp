#include "state/settings/gateway.hpp"

#include <doctest/doctest.h>

#include <string>

#include "fireclaw/error.hpp"

using namespace fireclaw;

namespace {

state::LlmSettings read(const std::string& llm) {
  return state::read_gateway_settings(json::Value::parse("{\"llm\": " + llm + "}", "config.json")).llm.value();
}

std::string complaint(const std::string& llm) {
  try {
    read(llm);
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::Corrupt);
    return error.what();
  }
  return "nothing";
}

std::string of_upstream(const std::string& more) {
  return complaint(R"({"upstreams": [{"name": "a", "url": "http://127.0.0.1:1")" + more + "}]}");
}

bool names(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

std::string chosen(const state::LlmSettings& settings, std::string_view agent, std::string_view model,
                   std::optional<state::LlmApi> api = std::nullopt) {
  const auto* upstream = state::find_upstream(settings, agent, model, api);
  return upstream == nullptr ? "none" : upstream->name;
}

}  // namespace

TEST_CASE("an LLM server needs a name and a URL, and the rest has defaults") {
  const auto settings = read(R"({"upstreams": [{"name": "local", "url": "http://127.0.0.1:11434/"}]})");
  REQUIRE(settings.upstreams.size() == 1);
  CHECK(settings.upstreams[0] == state::LlmUpstream{"local", "http://127.0.0.1:11434", {}, {}, {}, {}, {}});
  CHECK(settings.port == 11434);
  CHECK(settings.limits == state::LlmLimits{});
}

TEST_CASE("what cannot be is refused with the field's name") {
  CHECK(names(complaint("{}"), "upstreams"));
  CHECK(names(complaint(R"({"upstreams": []})"), "at least one"));
  CHECK(names(complaint(R"({"upstreams": [{"name": "a", "url": "http://x"}, {"name": "a", "url": "http://y"}]})"),
              "llm.upstreams[1].name"));
  for (const auto* url : {"x", "ftp://x", "http://", "http://user@x", "http://x?q", "http://x#f", "http://x y"}) {
    CHECK(names(complaint(std::string{R"({"upstreams": [{"name": "a", "url": ")"} + url + "\"}]}"),
                "llm.upstreams[0].url"));
  }
  CHECK(names(of_upstream(R"(, "api": "grpc")"), "\"openai\""));
  CHECK(names(of_upstream(R"(, "key": "sk live")"), "fireclaw secret list"));
  CHECK(names(of_upstream(R"(, "models": ["a*b"])"), "models[0]"));
  CHECK(names(of_upstream(R"(, "concurrent": 0)"), "concurrent"));
  CHECK(names(of_upstream(R"(, "api_key": "x")"), "api_key"));
  CHECK(names(complaint(R"({"upstreams": [{"name": "a", "url": "http://x"}], "limits": {"tokens_per_day": 0}})"),
              "limits.tokens_per_day"));
}

TEST_CASE("a service cannot have a port that the gateway has for something else") {
  for (const auto* port : {"53", "10053", "10080"}) {
    CHECK(names(complaint(std::string{R"({"port": )"} + port + R"(, "upstreams": [{"name": "a", "url": "http://x"}]})"),
                "llm.port: "));
  }
}

TEST_CASE("the first LLM server that fits agent, model and protocol is asked") {
  const auto settings = read(R"({"upstreams": [
    {"name": "own", "url": "http://a", "agents": ["ada"], "models": ["special"]},
    {"name": "gpt", "url": "https://b/v1", "api": "openai", "models": ["gpt-*"], "agents": ["ada", "team-*"]},
    {"name": "rest", "url": "http://c"}]})");
  using state::LlmApi;
  CHECK(chosen(settings, "ada", "special") == "own");
  CHECK(chosen(settings, "bob", "special") == "rest");
  CHECK(chosen(settings, "ada", "gpt-5") == "gpt");
  CHECK(chosen(settings, "team-3", "gpt-5") == "gpt");
  CHECK(chosen(settings, "teal", "gpt-5") == "rest");
  // Ollama's own protocol is Ollama's alone; OpenAI's is everybody's.
  CHECK(chosen(settings, "ada", "gpt-5", LlmApi::Ollama) == "rest");
  CHECK(chosen(settings, "ada", "special", LlmApi::OpenAi) == "own");
  // Without a model: for lists of them.
  CHECK(chosen(settings, "ada", "") == "own");
}

TEST_CASE("an agent's own limits are above those of all, as a whole") {
  const auto settings = read(R"({"upstreams": [{"name": "a", "url": "http://a"}],
    "limits": {"tokens_per_day": 100, "requests_per_minute": 3}, "agents": {"ada": {"tokens_per_day": 7}}})");
  CHECK(settings.limits_of("bob").tokens_per_day == 100u);
  CHECK(settings.limits_of("ada").tokens_per_day == 7u);
  CHECK_FALSE(settings.limits_of("ada").requests_per_minute);
}

TEST_CASE("an IRC server needs a name and a host, and secrets are named, never said") {
  const auto read_irc = [](const std::string& upstream) {
    const auto text = R"({"irc": {"upstreams": [)" + upstream + "]}}";
    return state::read_gateway_settings(json::Value::parse(text, "gateway")).irc.value();
  };
  const auto settings = read_irc(R"({"name": "local", "host": "127.0.0.1"})");
  CHECK(settings.port == 6667);
  CHECK(settings.upstreams == std::vector{state::IrcUpstream{"local", "127.0.0.1", 6667, false, true, {}, {}, {}, {}}});
  const auto all = read_irc(
      R"({"name": "far", "host": "irc.example.org", "tls": true, "tls_verify": false, "ca_file": "/ca",
          "password_secret": "pw", "sasl": {"user": "ada", "password_secret": "ada"}, "agents": ["ada"]})");
  CHECK(all.upstreams[0] ==
        state::IrcUpstream{
            "far", "irc.example.org", 6697, true, false, "/ca", "pw", state::IrcAccount{"ada", "ada"}, {"ada"}});
  CHECK(state::find_upstream(all, "ada") == &all.upstreams[0]);
  CHECK(state::find_upstream(all, "bob") == nullptr);
  const auto problem = [&](const std::string& more) -> std::string {
    try {
      read_irc(R"({"name": "a", "host": "h")" + more + "}");
    } catch (const Error& error) {
      return error.what();
    }
    return "nothing";
  };
  CHECK(names(problem(R"(, "password": "hunter2")"), "password"));
  CHECK(names(problem(R"(, "password_secret": "not a name")"), "fireclaw secret list"));
  CHECK(names(problem(R"(, "sasl": {"user": "ada"})"), "password_secret"));
  CHECK(names(problem(R"(, "sasl": {"user": "a b", "password_secret": "x"})"), "account"));
  CHECK(names(problem(R"(, "port": 0)"), "port"));
  CHECK(names(problem(R"(, "ca_file": "ca")"), "absolute"));
}

TEST_CASE("a gateway serves LLMs, IRC or both, at ports of their own") {
  const auto read_section = [](const std::string& text) {
    return state::read_gateway_settings(json::Value::parse(text, "gateway"));
  };
  CHECK_THROWS_WITH_AS(read_section("{}"), doctest::Contains("llm, irc or both"), Error);
  CHECK_THROWS_WITH_AS(read_section(R"({"llm": {"port": 9, "upstreams": [{"name": "a", "url": "http://a"}]},
                                        "irc": {"port": 9, "upstreams": [{"name": "a", "host": "a"}]}})"),
                       doctest::Contains("same port"), Error);
  CHECK_FALSE(read_section(R"({"irc": {"upstreams": [{"name": "a", "host": "a"}]}})").llm);
}
