#include "core/agents/bot_config.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "fireclaw/error.hpp"

using namespace fireclaw;

namespace {

state::Template a_template(const std::string& more = {}) {
  return state::parse_template("t", R"({"nick": "t", "model": "m:7b", "persona": "You are \"t\".")" + more + "}",
                               "/t.json");
}

json::Value made(const core::BotConfig& config) { return json::Value::parse(core::to_bot_json(config), "bot"); }

core::BotConfig plain(const state::Template& from) { return {"ada", from, {}, {}, {}, {}, {}, {}, {}, "172.16.0.1"}; }

}  // namespace

TEST_CASE("without any settings a bot finds IRC and LLM at the gateway") {
  const auto from = a_template();
  const auto value = made(plain(from));
  CHECK(value.at("name").as_string() == "ada");
  CHECK(value.at("nick").as_string() == "ada");
  CHECK(value.at("server").at("host").as_string() == "172.16.0.1");
  CHECK(value.at("llm").at("url").as_string() == "http://172.16.0.1:11434");
  CHECK(value.at("llm").at("model").as_string() == "m:7b");
  CHECK(value.at("persona").as_string() == "You are \"t\".");
  CHECK(value.at("trigger").as_string() == "mention");
  CHECK_FALSE(value.at("tools").at("enabled").as_bool());
  CHECK(value.at("status_file").as_string() == core::bot_status_file);
}

TEST_CASE("what the template says is above config.json, and what was asked for is above both") {
  const auto from = a_template(
      R"(, "irc": {"port": 6697}, "llm": {"temperature": 0.5, "timeouts": {"idle_s": 5}}, "tools": {"steps": 3}, "channels": ["#x"])");
  auto config = plain(from);
  config.irc = json::Value::parse(R"({"host": "irc.example", "port": 7000, "tls": true})", "irc");
  config.llm = json::Value::parse(
      R"({"url": "https://gateway/v1", "api": "openai", "temperature": 1, "timeouts": {"total_s": 9}})", "llm");
  config.model = "other";
  config.trigger = "hey";
  config.tools = false;
  const auto value = made(config);
  CHECK(value.at("server").at("host").as_string() == "irc.example");
  CHECK(value.at("server").at("port").as_int() == 6697);
  CHECK(value.at("server").at("tls").as_bool());
  CHECK(value.at("llm").at("url").as_string() == "https://172.16.0.1/v1");
  CHECK(value.at("llm").at("api").as_string() == "openai");
  CHECK(value.at("llm").at("temperature").as_double() == 0.5);
  // An object is taken whole from the one above.
  CHECK_FALSE(value.at("llm").at("timeouts").find("total_s"));
  CHECK(value.at("llm").at("model").as_string() == "other");
  CHECK(value.at("trigger").as_string() == "hey");
  CHECK_FALSE(value.at("tools").at("enabled").as_bool());
  CHECK(value.at("tools").at("steps").as_int() == 3);
  CHECK(value.at("channels").as_array().size() == 1);
}

TEST_CASE("what a template says of channels and people, limits and logs is passed on") {
  const auto passed_on = json::Value::parse(
      R"({"channels": ["#x"], "operators": ["alice!*@*"], "invite_policy": "operators", "log_level": "debug",
          "peers": {}, "limits": {"queue": 3}})",
      "settings");
  std::string more;
  for (const auto& [name, value] : passed_on.as_object()) {
    json::Writer text;
    text.value(value);
    more += fmt::format(R"(, "{}": {})", name, text.take());
  }
  const auto value = made(plain(a_template(more)));
  for (const auto& [name, expected] : passed_on.as_object()) {
    CAPTURE(name);
    REQUIRE(value.find(name));
    CHECK(*value.find(name) == expected);
  }
  for (const auto& [name, expected] : passed_on.as_object()) CHECK_FALSE(made(plain(a_template())).find(name));
}

TEST_CASE("a bot is told the way to web servers where there is one") {
  auto config = plain(a_template());
  CHECK_FALSE(made(config).find("http_proxy"));
  config.http_proxy = "http://172.16.0.1:10080";
  CHECK(made(config).at("http_proxy").as_string() == "http://172.16.0.1:10080");
}

TEST_CASE("only a host that is exactly 'gateway' is replaced in a URL") {
  const auto from = a_template();
  auto config = plain(from);
  for (const auto& [given, expected] :
       {std::pair{"http://gateway", "http://172.16.0.1"}, std::pair{"http://gateway:1/x", "http://172.16.0.1:1/x"},
        std::pair{"http://gateway.example:1", "http://gateway.example:1"},
        std::pair{"http://my-gateway/", "http://my-gateway/"}}) {
    config.llm = json::Value::parse(fmt::format(R"({{"url": "{}"}})", given), "llm");
    CHECK(made(config).at("llm").at("url").as_string() == expected);
  }
}

TEST_CASE("a setting that cannot be is refused by its name") {
  const auto from = a_template();
  const auto problem_of = [](const core::BotConfig& config) -> std::string {
    try {
      static_cast<void>(core::to_bot_json(config));
    } catch (const Error& problem) {
      CHECK(problem.code() == ErrorCode::InvalidArgument);
      return problem.what();
    }
    return {};
  };
  auto config = plain(from);
  config.model = "two words";
  CHECK(problem_of(config).starts_with("model"));
  config = plain(from);
  config.trigger = "";
  CHECK(problem_of(config).starts_with("trigger"));
  config = plain(from);
  config.persona = std::string(20001, 'x');
  CHECK(problem_of(config).starts_with("persona"));
}

TEST_CASE("a bot behind the gateway asks its LLM there, in the server's protocol, and has no key") {
  auto config = plain(a_template());
  config.served = state::read_gateway_settings(json::Value::parse(
      R"({"llm": {"port": 8080, "upstreams": [{"name": "a", "url": "https://a/v1", "api": "openai", "key": "k"}]}})",
      "gateway"));
  config.llm = json::Value::parse(R"({"api_key": "hunter2", "temperature": 1, "by": "up"})", "llm");
  const auto llm = made(config).at("llm");
  CHECK(llm.at("url").as_string() == "http://172.16.0.1:8080");
  CHECK(llm.at("api").as_string() == "openai");
  CHECK(llm.at("temperature").as_double() == 1);
  CHECK_FALSE(llm.find("api_key"));
  CHECK_FALSE(llm.find("by"));
  // A protocol that was chosen stays.
  config.llm = json::Value::parse(R"({"api": "ollama"})", "llm");
  CHECK(made(config).at("llm").at("api").as_string() == "ollama");
  // A template that names a server means that one, with its key.
  config.llm = json::Value::parse(R"({"url": "http://gateway:9", "api_key": "hunter2"})", "llm");
  const auto own = made(config).at("llm");
  CHECK(own.at("url").as_string() == "http://172.16.0.1:9");
  CHECK(own.at("api_key").as_string() == "hunter2");
  CHECK_FALSE(own.find("api"));
}

TEST_CASE("a bot behind the gateway finds IRC there, and has neither the server's address nor its passwords") {
  auto config = plain(a_template());
  config.served = state::read_gateway_settings(json::Value::parse(
      R"({"irc": {"port": 7000, "upstreams": [{"name": "a", "host": "irc.example.org", "tls": true}]}})", "gateway"));
  config.irc = json::Value::parse(
      R"({"password": "hunter2", "tls": true, "sasl": {"user": "a", "password": "hunter2"}})", "irc");
  const auto server = made(config).at("server");
  CHECK(server.at("host").as_string() == "172.16.0.1");
  CHECK(server.at("port").as_int() == 7000);
  CHECK(server.as_object().size() == 2);
  // A template that names a server means that one.
  config.irc = json::Value::parse(R"({"host": "irc.example", "password": "hunter2"})", "irc");
  CHECK(made(config).at("server").at("host").as_string() == "irc.example");
  CHECK(made(config).at("server").at("password").as_string() == "hunter2");
  config.irc = json::Value::parse(R"({"port": 6697, "tls": true})", "irc");
  CHECK(made(config).at("server").at("host").as_string() == "172.16.0.1");
  CHECK(made(config).at("server").at("tls").as_bool());
}
