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
  for (const auto* pattern : {"", "a b", "a*b"}) {
    CHECK(names(of_upstream(std::string{R"(, "agents": [")"} + pattern + "\"]"), "agents[0]"));
  }
  CHECK(names(complaint(R"({"upstreams": [{"name": "a b", "url": "http://x"}]})"), "llm.upstreams[0].name"));
  CHECK(names(complaint(R"({"upstreams": [{"name": "a", "url": "http://x"}], "x": 1})"), "llm: unknown key \"x\""));
  CHECK(names(complaint(R"({"upstreams": [{"name": "a", "url": "http://x"}], "agents": {"a b": {}}})"),
              "an agent's name"));
  CHECK(names(complaint(R"({"upstreams": [{"name": "a", "url": "http://x"}], "limits": {"per_day": 1}})"), "per_day"));
  CHECK(names(complaint(R"({"upstreams": [{"name": "a", "url": "http://x"}], "limits": {"tokens_per_day": 0}})"),
              "limits.tokens_per_day"));
}

TEST_CASE("numbers of an LLM server are taken at their bounds and not beyond") {
  const auto with = [](const std::string& field, const std::string& number) {
    return R"({"upstreams": [{"name": "a", "url": "https://x", ")" + field + "\": " + number + "}]}";
  };
  CHECK(read(with("concurrent", "1")).upstreams[0].concurrent == 1);
  CHECK(read(with("concurrent", "10000")).upstreams[0].concurrent == 10'000);
  CHECK(names(complaint(with("concurrent", "10001")), "concurrent: must be 1 to 10000"));
  CHECK(read(with("idle_s", "1")).upstreams[0].idle_s == 1);
  CHECK(read(with("idle_s", "86400")).upstreams[0].idle_s == 86'400);
  for (const auto* number : {"0", "86401"}) CHECK(names(complaint(with("idle_s", number)), "idle_s: must be 1 to"));
  CHECK(read(with("ca_file", R"("/ca")")).upstreams[0].ca_file == "/ca");
  CHECK(names(complaint(with("ca_file", R"("ca")")), "ca_file"));
  const auto port = [](const std::string& number) {
    return "{\"port\": " + number + R"(, "upstreams": [{"name": "a", "url": "http://x"}]})";
  };
  CHECK(read(port("1")).port == 1);
  CHECK(read(port("65535")).port == 65'535);
  for (const auto* number : {"0", "65536"}) CHECK(names(complaint(port(number)), "llm.port: must be 1 to 65535"));
  const auto limit = [](const std::string& number) {
    return R"({"upstreams": [{"name": "a", "url": "http://x"}], "limits": {"requests_per_day": )" + number + "}}";
  };
  CHECK(read(limit("1")).limits.requests_per_day == 1U);
  CHECK(read(limit("1000000000000")).limits.requests_per_day == 1'000'000'000'000U);
  CHECK(names(complaint(limit("1000000000001")), "requests_per_day: must be 1 to"));
  CHECK(read(R"({"upstreams": [{"name": "a", "url": "https://x//"}]})").upstreams[0].url == "https://x");
  CHECK(names(complaint(R"({"upstreams": [{"name": "a", "url": "https://"}]})"), "url"));
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
  CHECK(names(problem(R"(, "sasl": {"user": "", "password_secret": "x"})"), "account"));
  CHECK(names(problem(R"(, "sasl": {"user": ")" + std::string(129, 'a') + R"(", "password_secret": "x"})"), "account"));
  CHECK(problem(R"(, "sasl": {"user": ")" + std::string(128, 'a') + R"(", "password_secret": "x"})") == "nothing");
  CHECK(names(problem(R"(, "sasl": {"user": "a", "password_secret": "x", "x": 1})"), "sasl: unknown key \"x\""));
  CHECK_THROWS_WITH_AS(read_irc(R"({"name": "a", "host": "a b"})"), doctest::Contains("host"), Error);
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
  const auto both = read_section(R"({"llm": {"upstreams": [{"name": "a", "url": "http://a"}]},
                                     "irc": {"upstreams": [{"name": "a", "host": "a"}]}})");
  CHECK(both.llm->port == 11434);
  CHECK(both.irc->port == 6667);
  CHECK_THROWS_AS(read_section(R"({"irc": {"upstreams": [{"name": "a", "host": "a"}]}, "http": {}})"), Error);
  CHECK_THROWS_AS(read_section(R"({"irc": {"upstreams": [{"name": "a", "host": "a"}], "x": 1}})"), Error);
}
