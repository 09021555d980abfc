#include "settings.hpp"

#include <doctest/doctest.h>

#include <string>
#include <utility>

#include <fmt/format.h>

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

TEST_CASE("every number in a file has the range that is told, both ends included, and sets what it names") {
  struct Row {
    const char* name;
    const char* least;
    const char* most;
    const char* below;
    const char* above;
    double (*got)(const Settings&);
    bool whole = true;
  };
  static constexpr auto in_seconds = [](auto duration) { return std::chrono::duration<double>(duration).count(); };
  const Row rows[] = {
      {"port", "1", "65535", "0", "65536", [](const Settings& s) -> double { return s.server.port; }},
      {"message_burst", "1", "100", "0", "101", [](const Settings& s) -> double { return s.pace.burst.value(); }},
      {"message_interval_s", "0.01", "60", "0.009", "60.1",
       [](const Settings& s) { return in_seconds(s.pace.interval.value()); }, false},
      {"reconnect_first_s", "0.05", "3600", "0.049", "3600.1",
       [](const Settings& s) { return in_seconds(s.pace.reconnect_first); }, false},
      {"reconnect_longest_s", "0.05", "86400", "0.049", "86400.1",
       [](const Settings& s) { return in_seconds(s.pace.reconnect_longest); }, false},
      {"connect_timeout_s", "1", "600", "0", "601",
       [](const Settings& s) { return in_seconds(s.pace.connect_timeout); }},
      {"ping_after_s", "1", "3600", "0", "3601", [](const Settings& s) { return in_seconds(s.times.ping_after); }},
      {"ping_timeout_s", "1", "3600", "0", "3601", [](const Settings& s) { return in_seconds(s.times.ping_timeout); }},
      {"regain_s", "1", "3600", "0", "3601", [](const Settings& s) { return in_seconds(s.times.regain); }},
      {"rejoin_s", "1", "3600", "0", "3601", [](const Settings& s) { return in_seconds(s.times.rejoin); }},
      {"workers", "1", "64", "0", "65", [](const Settings& s) -> double { return s.crew.changes; }},
      {"most_waiting", "1", "10000", "0", "10001",
       [](const Settings& s) -> double { return static_cast<double>(s.crew.most_waiting); }},
      {"restart_tries", "0", "100", "-1", "101", [](const Settings& s) -> double { return s.supervision.tries; }},
      {"restart_wait_s", "0.01", "3600", "0.009", "3600.1",
       [](const Settings& s) { return in_seconds(s.supervision.first_wait); }, false},
      {"restart_forgiven_s", "1", "86400", "0", "86401",
       [](const Settings& s) { return in_seconds(s.supervision.good_life); }},
      {"survey_s", "1", "86400", "0", "86401", [](const Settings& s) { return in_seconds(s.supervision.survey); }},
  };
  for (const auto& row : rows) {
    const auto file = [&](std::string_view value) { return fmt::format(R"({{"{}": {}}})", row.name, value); };
    for (const auto* value : {row.least, row.most}) {
      CAPTURE(file(value));
      CHECK(row.got(parse_settings(file(value), "f")) == std::stod(value));
    }
    for (const auto* value : {row.below, row.above, "-1", "\"1\"", "null", "true", "[1]", "{}"}) {
      CAPTURE(file(value));
      CHECK_THROWS_WITH_AS(parse_settings(file(value), "f"),
                           fmt::format("'f': {}: must be a {} from {} to {}", row.name,
                                       row.whole ? "whole number" : "number of seconds", row.least, row.most)
                               .c_str(),
                           Error);
    }
    if (row.whole) CHECK_THROWS_AS(parse_settings(file("1.5"), "f"), Error);
  }
}

TEST_CASE("every text, list and flag in a file is one, and a name is not empty") {
  for (const auto* name : {"server", "nick", "user", "realname", "channel"}) {
    CAPTURE(name);
    CHECK_THROWS_WITH_AS(parse_settings(fmt::format(R"({{"{}": ""}})", name), "f"),
                         fmt::format("'f': {}: must not be empty", name).c_str(), Error);
    CHECK_NOTHROW(parse_settings(fmt::format(R"({{"{}": "x"}})", name), "f"));
  }
  for (const auto* name : {"server", "tls_ca", "password", "nick", "user", "realname", "sasl_user", "sasl_password",
                           "channel", "channel_key", "audit_log", "metrics", "log_level"}) {
    for (const auto* value : {"1", "null", "true", "[\"x\"]", "{}"}) {
      CAPTURE(name);
      CAPTURE(value);
      CHECK_THROWS_WITH_AS(parse_settings(fmt::format(R"({{"{}": {}}})", name, value), "f"),
                           fmt::format("'f': {}: must be a text", name).c_str(), Error);
    }
  }
  for (const auto* name : {"tls", "tls_verify", "stop_agents"}) {
    for (const auto* value : {"1", "null", "\"true\"", "[true]", "{}"}) {
      CAPTURE(name);
      CAPTURE(value);
      CHECK_THROWS_WITH_AS(parse_settings(fmt::format(R"({{"{}": {}}})", name, value), "f"),
                           fmt::format("'f': {}: must be true or false", name).c_str(), Error);
    }
  }
  for (const auto* file :
       {"", " ", "null", "1", "\"nick\"", "{}{}", "{\"nick\": \"a\",}", "{nick: 1}", "{\"nick\": \"\xff\"}"}) {
    CAPTURE(file);
    CHECK_THROWS_AS(parse_settings(file, "f"), Error);
  }
}

TEST_CASE("names that IRC carries have a longest length, which is allowed") {
  for (const auto& [member, most] :
       {std::pair{&IrcIdentity::nick, std::size_t{30}}, {&IrcIdentity::user, std::size_t{20}}}) {
    Settings settings;
    settings.identity.*member = std::string(most, 'a');
    CHECK_NOTHROW(check(settings));
    settings.identity.*member += 'a';
    CHECK_THROWS_AS(check(settings), Error);
  }
  Settings settings;
  for (const auto& [channel, fits] : {std::pair{"#" + std::string(63, 'a'), true},
                                      {"#" + std::string(64, 'a'), false},
                                      {"&local", true},
                                      {"+modeless", false},
                                      {"#a\rb", false},
                                      {"#a b", false},
                                      {":#a", false}}) {
    CAPTURE(channel);
    settings.identity.channel = channel;
    if (fits) CHECK_NOTHROW(check(settings));
    if (!fits) CHECK_THROWS_AS(check(settings), Error);
  }
  settings = {};
  for (const auto& [key, fits] : {std::pair<std::string, bool>{"", true},
                                  {"secret", true},
                                  {":x", false},
                                  {"a,b", false},
                                  {std::string{"a\0b", 3}, false}}) {
    CAPTURE(key);
    settings.identity.channel_key = key;
    if (fits) CHECK_NOTHROW(check(settings));
    if (!fits) CHECK_THROWS_AS(check(settings), Error);
  }
  for (const auto member : {&IrcIdentity::realname, &IrcIdentity::password}) {
    for (const auto c : {'\r', '\n', '\0'}) {
      Settings odd;
      odd.identity.*member = std::string{"a"} + c + "b";
      CHECK_THROWS_AS(check(odd), Error);
    }
  }
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
