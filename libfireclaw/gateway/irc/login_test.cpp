#include "gateway/irc/login.hpp"

#include <doctest/doctest.h>

#include <string>

#include "fireclaw/error.hpp"

using namespace fireclaw;
using gateway::IrcLogin;

namespace {

/// "ada" and "hunter2", as SASL PLAIN has them.
constexpr std::string_view ada = "AUTHENTICATE AGFkYQBodW50ZXIy\r\n";

IrcLogin with_account() {
  IrcLogin login{{{}, "ada", "hunter2"}};
  REQUIRE(login.begin() == "CAP REQ :sasl\r\n");
  return login;
}

}  // namespace

TEST_CASE("without an account the password is all, and what the server says passes from its first byte") {
  IrcLogin login{{"open sesame", {}, {}}};
  CHECK(login.begin() == "PASS :open sesame\r\n");
  CHECK(login.done());
  const auto step = login.feed(":irc NOT");
  CHECK(step.to_agent == ":irc NOT");
  CHECK(step.to_server.empty());
  CHECK(IrcLogin{{}}.begin().empty());
}

TEST_CASE("a login negotiates, answers, and ends before the agent's own negotiation begins") {
  auto login = with_account();
  CHECK(login.feed(":irc CAP * ACK :sa").to_server.empty());
  CHECK(login.feed("sl\r\n").to_server == "AUTHENTICATE PLAIN\r\n");
  CHECK(login.feed("AUTHENTICATE +\r\n").to_server == ada);
  CHECK(login.feed(":irc 900 * *!*@* ada :You are now logged in\r\n").to_agent.empty());
  CHECK_FALSE(login.done());
  const auto last = login.feed(":irc 903 * :done\r\n:irc NOTICE * :next");
  CHECK(last.to_server == "CAP END\r\n");
  CHECK(last.to_agent == ":irc NOTICE * :next");
  CHECK(login.done());
  CHECK_FALSE(login.failure());
}

TEST_CASE("meanwhile pings are answered, and the server's other lines are the agent's") {
  auto login = with_account();
  const auto step = login.feed("@time=now :irc NOTICE * :*** Looking up\r\nPING :cookie 7\r\n:irc CAP * ACK sasl \r\n");
  CHECK(step.to_agent == "@time=now :irc NOTICE * :*** Looking up\r\n");
  CHECK(step.to_server == "PONG :cookie 7\r\nAUTHENTICATE PLAIN\r\n");
  // A second grant is not a second login.
  CHECK(login.feed(":irc CAP * ACK :sasl\r\n").to_server.empty());
}

TEST_CASE("a server that asks for the secret without a grant, or twice, is not told") {
  auto login = with_account();
  CHECK(login.feed("AUTHENTICATE +\r\n:irc 903 * :done\r\n").to_server.empty());
  CHECK_FALSE(login.done());
  CHECK(login.feed(":irc CAP * ACK :sasl\r\nAUTHENTICATE +\r\n").to_server.ends_with(ada));
  CHECK(login.feed("AUTHENTICATE +\r\n").to_server.empty());
}

TEST_CASE("a secret whose last piece is full ends with an empty one") {
  // 300 bytes are 400 of base64.
  IrcLogin login{{{}, "ada", std::string(300 - 5, 'x')}};
  static_cast<void>(login.begin());
  const auto lines = login.feed(":irc CAP * ACK :sasl\r\nAUTHENTICATE +\r\n").to_server;
  CHECK(lines.ends_with("eA==\r\n") == false);
  CHECK(lines.ends_with("\r\nAUTHENTICATE +\r\n"));
  IrcLogin longer{{{}, "ada", std::string(400, 'x')}};
  static_cast<void>(longer.begin());
  const auto pieces = longer.feed(":irc CAP * ACK :sasl\r\nAUTHENTICATE +\r\n").to_server;
  CHECK_FALSE(pieces.ends_with("AUTHENTICATE +\r\n"));
  CHECK(pieces.size() == std::string_view{"AUTHENTICATE PLAIN\r\n"}.size() + 2 * 15 + 540);
}

TEST_CASE("a server that knows no login, or not this account, ends there") {
  for (const auto* line : {":irc CAP * NAK :sasl", ":irc 421 * CAP :Unknown command", ":irc 451 * :register first"}) {
    auto login = with_account();
    CHECK(login.feed(std::string{line} + "\r\n").to_server.empty());
    CHECK(login.failure().value().find("no login by SASL") != std::string::npos);
  }
  auto login = with_account();
  static_cast<void>(login.feed(":irc CAP * ACK :sasl\r\nAUTHENTICATE +\r\n:irc 904 * :SASL authentication failed\r\n"));
  CHECK(login.failure().value().find("'ada' (904)") != std::string::npos);
  auto web = with_account();
  static_cast<void>(web.feed(std::string(20'000, 'x')));
  CHECK(web.failure().value().find("does not speak IRC") != std::string::npos);
}

TEST_CASE("secrets are found by the names that the settings say") {
  state::IrcUpstream upstream;
  upstream.name = "far";
  upstream.password_secret = "pw";
  upstream.sasl = state::IrcAccount{"ada", "account"};
  const auto found = gateway::credentials_of(upstream, {{"pw", "one"}, {"account", "two"}});
  CHECK(found.password == "one");
  CHECK(found.user == "ada");
  CHECK(found.user_password == "two");
  CHECK_THROWS_WITH_AS(gateway::credentials_of(upstream, {{"pw", "one"}}),
                       doctest::Contains("no secret 'account', which IRC server 'far' needs"), Error);
}
