#include "settings.hpp"

#include <doctest/doctest.h>

#include "fireclaw/error.hpp"

using namespace fireclaw;
using namespace fireclaw::overseer;

TEST_CASE("a file sets what it names and leaves the rest as it is") {
  const auto settings = parse_settings(R"({
    "server": "irc.example.org", "tls": true, "nick": "boss", "channel": "#ops", "sasl_user": "boss",
    "sasl_password": "secret", "operators": ["account:alice"], "workers": 8, "restart_tries": 5, "restart_wait_s": 0.5,
    "message_interval_s": 2, "metrics": "127.0.0.1:9464", "stop_agents": true, "log_level": "debug"})",
                                       "f");
  CHECK(settings.server.host == "irc.example.org");
  CHECK(settings.server.port == 6697);
  CHECK(settings.identity.nick == "boss");
  CHECK(settings.identity.user == "overseer");
  CHECK(settings.operators == std::vector<std::string>{"account:alice"});
  CHECK(settings.crew.changes == 8);
  CHECK(settings.supervision.tries == 5);
  CHECK(settings.supervision.first_wait == Seconds{0.5});
  CHECK(settings.pace.interval == Seconds{2});
  CHECK(settings.stop_agents);
  CHECK(settings.log_level == LogLevel::Debug);
  CHECK_NOTHROW(check(settings));
  CHECK_NOTHROW(check(parse_settings("{}", "f")));
}

TEST_CASE("what a file says wrongly is named") {
  const auto problem = [](const char* text) {
    try {
      static_cast<void>(parse_settings(text, "f"));
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::InvalidArgument);
      return std::string{error.what()};
    }
    return std::string{};
  };
  CHECK(problem("{") == "'f' is not JSON");
  CHECK(problem("[]") == "'f' holds no JSON object");
  CHECK(problem(R"({"prot": 1})") == "'f': there is no setting 'prot'; see: fireclaw overseer --help");
  CHECK(problem(R"({"port": "6667"})") == "'f': port: must be a whole number from 1 to 65535");
  CHECK(problem(R"({"port": 0})").find("from 1 to 65535") != std::string::npos);
  CHECK(problem(R"({"port": -1})").find("from 1 to 65535") != std::string::npos);
  CHECK(problem(R"({"tls": 1})") == "'f': tls: must be true or false");
  CHECK(problem(R"({"nick": ""})") == "'f': nick: must not be empty");
  CHECK(problem(R"({"operators": "alice"})") == "'f': operators: must be a list of texts");
  CHECK(problem(R"({"operators": [1]})") == "'f': operators: must be a list of texts");
  CHECK(problem(R"({"message_interval_s": 0})").find("from 0.01 to 60") != std::string::npos);
  CHECK(problem(R"({"log_level": "loud"})").find("'loud'") != std::string::npos);
}

TEST_CASE("a server that others can reach needs operators") {
  for (const auto* host : {"irc.example.org", "10.0.0.1", "::2", "127.0.0.1.example.org", "localhost.example.org"}) {
    Settings settings;
    settings.server.host = host;
    CAPTURE(host);
    CHECK_THROWS_WITH_AS(check(settings), doctest::Contains("--operator"), Error);
    settings.operators = {"alice!*@*"};
    CHECK_NOTHROW(check(settings));
  }
  for (const auto* host : {"localhost", "LOCALHOST", "127.0.0.1", "127.9.9.9", "::1"}) {
    Settings settings;
    settings.server.host = host;
    CHECK_NOTHROW(check(settings));
  }
}

TEST_CASE("what IRC could not carry is refused") {
  const auto refuses = [](auto change) {
    Settings settings;
    change(settings);
    CHECK_THROWS_AS(check(settings), Error);
  };
  refuses([](Settings& s) { s.identity.nick = "a b"; });
  refuses([](Settings& s) { s.identity.nick = "1boss"; });
  refuses([](Settings& s) { s.identity.user = "a@b"; });
  refuses([](Settings& s) { s.identity.realname = "a\nb"; });
  refuses([](Settings& s) { s.identity.channel = "control"; });
  refuses([](Settings& s) { s.identity.channel = "#a,#b"; });
  refuses([](Settings& s) { s.identity.channel = "#"; });
  refuses([](Settings& s) { s.identity.channel_key = "a b"; });
  refuses([](Settings& s) { s.identity.sasl_user = "x"; });
  refuses([](Settings& s) { s.identity.sasl_password = "x"; });
  refuses([](Settings& s) { s.operators = {"alice"}; });
}
