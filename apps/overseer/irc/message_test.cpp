#include "irc/message.hpp"

#include <doctest/doctest.h>

#include "fireclaw/error.hpp"

using namespace fireclaw;
using namespace fireclaw::overseer;

TEST_CASE("a message is read with its tags, source and parameters") {
  const auto message = parse_irc("@account=alice;+x=a\\sb\\:\\\\;empty :alice!al@host PRIVMSG #c :hello: there");
  REQUIRE(message);
  CHECK(message->command == "PRIVMSG");
  CHECK(message->source == "alice!al@host");
  CHECK(message->nick() == "alice");
  CHECK(message->params == std::vector<std::string>{"#c", "hello: there"});
  CHECK(message->tag("account") == "alice");
  CHECK(message->tag("+x") == "a b;\\");
  CHECK(message->tag("empty").empty());
  CHECK(message->tag("other").empty());
}

TEST_CASE("odd but legal messages are read as servers mean them") {
  CHECK(parse_irc("ping")->command == "PING");
  CHECK(parse_irc("  ") == std::nullopt);
  CHECK(parse_irc(":server 001 me :")->params == std::vector<std::string>{"me", ""});
  CHECK(parse_irc(":server  005   me  A=1   B :ok")->params == std::vector<std::string>{"me", "A=1", "B", "ok"});
  CHECK(parse_irc("PING :a")->last() == "a");
  CHECK(parse_irc("PRIVMSG #c a:b")->param(1) == "a:b");
  CHECK(parse_irc(":server.name PING x")->nick() == "server.name");
  CHECK(parse_irc("@a=1;a=2 PING x")->tag("a") == "2");
}

TEST_CASE("what is not a message is not taken for one") {
  for (const auto* line : {"", ":", "@", ":source", "@tag=1", ":a b", "12 x", "1234 x", "PRIV-MSG x", "\x01 x"}) {
    CAPTURE(line);
    if (std::string_view{line} == ":a b") {
      CHECK(parse_irc(line)->command == "B");
    } else {
      CHECK(parse_irc(line) == std::nullopt);
    }
  }
  CHECK(parse_irc("PING a\rQUIT") == std::nullopt);
  CHECK(parse_irc(std::string(20'000, 'A')) == std::nullopt);
  std::string many = "JOIN";
  for (int i = 0; i < 64; ++i) many += " a";
  CHECK(parse_irc(many).value().params.size() == 64);
  CHECK(parse_irc(many + " a") == std::nullopt);
}

TEST_CASE("what is built can be read again, and nothing else can be built") {
  CHECK(build_irc("PRIVMSG", {"#c", "a b"}) == "PRIVMSG #c :a b\r\n");
  CHECK(build_irc("CAP", {"END"}) == "CAP END\r\n");
  CHECK(build_irc("PRIVMSG", {"#c", ":)"}) == "PRIVMSG #c ::)\r\n");
  CHECK(build_irc("QUIT", {""}) == "QUIT :\r\n");
  CHECK_THROWS_AS(build_irc("PRIVMSG", {"#c", "a\r\nQUIT"}), Error);
  CHECK_THROWS_AS(build_irc("PRIVMSG", {"a b", "c"}), Error);
  CHECK_THROWS_AS(build_irc("PRIVMSG", {"", "c"}), Error);
  CHECK_THROWS_AS(build_irc("PRIVMSG", {":a", "c"}), Error);
  CHECK_THROWS_AS(build_irc("PRIV MSG", {"a"}), Error);
  CHECK_THROWS_AS(build_irc("PRIVMSG", {"a", std::string{"x\0y", 3}}), Error);
}

TEST_CASE("a stream becomes lines wherever it is cut") {
  const std::string stream = "PING :a\r\n\r\nPING :b\nPING :c\r\n";
  for (std::size_t cut = 0; cut <= stream.size(); ++cut) {
    IrcLineBuffer buffer;
    auto lines = buffer.feed(std::string_view{stream}.substr(0, cut));
    for (auto& line : buffer.feed(std::string_view{stream}.substr(cut))) lines.push_back(line);
    CHECK(lines == std::vector<std::string>{"PING :a", "PING :b", "PING :c"});
  }
}

TEST_CASE("a line without an end is dropped, and what comes after it is not") {
  IrcLineBuffer buffer;
  for (int i = 0; i < 100; ++i) CHECK(buffer.feed(std::string(1000, 'x')).empty());
  CHECK(buffer.feed("tail\r\nPING :a\r\n") == std::vector<std::string>{"PING :a"});
}
