#include "irc/session.hpp"

#include <doctest/doctest.h>

#include <fmt/format.h>

using namespace fireclaw::overseer;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

/// A session, and the server's side of it as a script.
struct Played {
  explicit Played(IrcIdentity who = {}) : identity{std::move(who)} {}

  /// What the session sends when the server says these lines.
  std::string on(std::initializer_list<std::string> lines, seconds later = seconds{0}) {
    now += later;
    std::string bytes;
    for (const auto& line : lines) bytes += line + "\r\n";
    keep(session.feed(bytes, now));
    return step();
  }
  std::string step(seconds later = seconds{0}) {
    now += later;
    keep(session.tick(now));
    return session.transmit(now);
  }
  void keep(const std::vector<IrcEvent>& more) { events.insert(events.end(), more.begin(), more.end()); }
  /// In the control channel.
  void join(std::string_view nick = "overseer") {
    step();
    on({fmt::format(":s 001 {} :hi", nick), fmt::format(":s 376 {} :end", nick)});
    on({fmt::format(":{}!o@host JOIN #control", nick), fmt::format(":s 353 {} = #control :@alice {} +bob", nick, nick),
        fmt::format(":s 366 {} #control :end", nick)});
    events.clear();
  }
  template <typename Event>
  std::vector<Event> all() const {
    std::vector<Event> found;
    for (const auto& event : events) {
      if (const auto* one = std::get_if<Event>(&event)) found.push_back(*one);
    }
    return found;
  }

  IrcIdentity identity;
  TimePoint now{};
  Pacer pacer{5, Seconds{1}, TimePoint{}};
  std::vector<IrcEvent> events;
  IrcSession session{identity, IrcTimes{}, pacer, 1, TimePoint{}};
};

bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("a plain server is registered with and the channel joined") {
  Played irc;
  CHECK(irc.step() == "CAP LS 302\r\nNICK overseer\r\nUSER overseer 0 * :fireclaw overseer\r\n");
  CHECK(irc.on({":s 421 * CAP :Unknown command"}).empty());
  CHECK(irc.on({":s 001 overseer :hi", ":s 005 overseer LINELEN=1024 :are supported", ":s 376 overseer :end"}) ==
        "JOIN #control\r\n");
  CHECK(irc.all<IrcOnline>().size() == 1);
  CHECK_FALSE(irc.session.joined());
  irc.on({":overseer!o@host JOIN :#control"});
  CHECK(irc.session.joined());
  CHECK(irc.all<IrcJoined>().size() == 1);
}

TEST_CASE("a password and a channel's key are sent") {
  IrcIdentity identity;
  identity.password = "open sesame";
  identity.channel_key = "key";
  Played irc{identity};
  CHECK(irc.step().starts_with("PASS :open sesame\r\n"));
  CHECK(irc.on({":s 001 overseer :hi", ":s 422 overseer :no motd"}) == "JOIN #control key\r\n");
}

TEST_CASE("what the server offers is asked for, also when it takes several lines to say") {
  Played irc;
  irc.step();
  CHECK(irc.on({":s CAP * LS * :message-tags batch"}).empty());
  CHECK(irc.on({":s CAP * LS :account-tag sasl=PLAIN"}) == "CAP REQ :account-tag message-tags\r\n");
  CHECK(irc.on({":s CAP * ACK :account-tag message-tags"}) == "CAP END\r\n");
  irc.on({":s 001 overseer :hi", ":s 376 overseer :end"});
  CHECK(irc.all<IrcOnline>().at(0).accounts);
}

TEST_CASE("SASL sends name and password, in pieces if they are long") {
  IrcIdentity identity;
  identity.sasl_user = "jilles";
  identity.sasl_password = "sesame";
  Played irc{identity};
  irc.step();
  CHECK(irc.on({":s CAP * LS :sasl=EXTERNAL,PLAIN"}) == "CAP REQ sasl\r\n");
  CHECK(irc.on({":s CAP * ACK :sasl"}) == "AUTHENTICATE PLAIN\r\n");
  CHECK(irc.on({"AUTHENTICATE +"}) == "AUTHENTICATE AGppbGxlcwBzZXNhbWU=\r\n");
  CHECK(irc.on({":s 903 * :ok"}) == "CAP END\r\n");

  identity.sasl_password = std::string(300 - 8, 'x');
  Played whole{identity};
  whole.step();
  whole.on({":s CAP * LS :sasl"});
  whole.on({":s CAP * ACK :sasl"});
  const auto sent = whole.on({"AUTHENTICATE +"});
  CHECK(sent.size() == 13 + 400 + 2 + 16);
  CHECK(sent.ends_with("AUTHENTICATE +\r\n"));
}

TEST_CASE("without the login that was to be there is no connection") {
  IrcIdentity identity;
  identity.sasl_user = "u";
  identity.sasl_password = "p";
  for (const std::string line : {":s CAP * LS :", ":s CAP * LS :sasl=EXTERNAL", ":s CAP * NAK :sasl",
                                 ":s 904 * :wrong password", ":s 001 overseer :come in"}) {
    CAPTURE(line);
    Played irc{identity};
    irc.step();
    irc.on({line});
    CHECK(irc.session.closed());
    CHECK(irc.session.unwelcome());
    CHECK(has(irc.all<IrcClosed>().at(0).reason, "SASL login as 'u' failed"));
  }
}

TEST_CASE("who is logged in has services end the connection that holds its nick") {
  IrcIdentity identity;
  identity.sasl_user = "overseer";
  identity.sasl_password = "p";
  Played irc{identity};
  irc.step();
  irc.on({":s CAP * LS :sasl", ":s CAP * ACK :sasl", "AUTHENTICATE +", ":s 903 * :ok", ":s 433 * overseer :in use"});
  // By when the pacer lets more through again than the login took.
  const auto sent = irc.on({":s 001 overseer_ :hi", ":s 376 overseer_ :end"}, seconds{20});
  CHECK(has(sent, "PRIVMSG NickServ :GHOST overseer\r\n"));
  CHECK_FALSE(has(sent, "NICK overseer\r\n"));
  SUBCASE("and takes the nick back when it sees it go") {
    CHECK(has(irc.on({":overseer!o@h QUIT :GHOST command used"}) + irc.step(), "NICK overseer\r\n"));
  }
  SUBCASE("or a moment later, since it need not see that; and asks again if that was too early") {
    CHECK(irc.step(seconds{1}).empty());
    CHECK(has(irc.step(seconds{1}), "NICK overseer\r\n"));
    irc.on({":s 433 overseer_ overseer :in use"});
    CHECK(has(irc.step(seconds{30}), "GHOST overseer\r\n"));
  }
}

TEST_CASE("a nick that is taken gets a suffix and is taken back") {
  Played irc;
  irc.step();
  CHECK(irc.on({":s 433 * overseer :in use"}) == "NICK overseer_\r\n");
  CHECK(irc.on({":s 433 * overseer_ :in use"}) == "NICK overseer__\r\n");
  CHECK(has(irc.on({":s 433 * overseer__ :in use"}), "NICK overseer"));
  irc.on({":s 001 overseer__ :hi", ":s 376 overseer__ :end"});
  CHECK(irc.session.nick() == "overseer__");
  CHECK(has(irc.step(seconds{30}), "NICK overseer\r\n"));
  CHECK(irc.on({":s 433 overseer__ overseer :in use"}).empty());
  // Its owner leaves: no need to wait.
  CHECK(has(irc.on({":overseer!x@y QUIT :bye"}), "NICK overseer\r\n"));
  irc.on({":overseer__!o@host NICK :overseer"});
  CHECK(irc.session.nick() == "overseer");
  CHECK_FALSE(has(irc.step(seconds{31}), "NICK"));
}

TEST_CASE("a nick that is too long is shortened") {
  IrcIdentity identity;
  identity.nick = "overseer-of-all";
  Played irc{identity};
  irc.step();
  CHECK(irc.on({":s 432 * overseer-of-all :bad"}) == "NICK overseer-\r\n");
}

TEST_CASE("a server that refuses every nick is left") {
  Played irc;
  irc.step();
  for (int i = 0; i < 21; ++i) irc.on({":s 433 * x :in use"});
  CHECK(irc.session.closed());
}

TEST_CASE("a ping is answered at once, however much waits to be said") {
  Played irc;
  irc.join();
  for (int i = 0; i < 50; ++i) CHECK(irc.session.say("#control", fmt::format("line {}", i)));
  irc.step();
  CHECK(irc.on({"PING :token"}) == "PONG token\r\n");
}

TEST_CASE("a silent server is asked, and left when it stays silent") {
  Played irc;
  irc.join();
  irc.step(seconds{80});
  CHECK(irc.session.deadline(irc.now) == irc.now + seconds{10});
  CHECK(irc.step(seconds{10}) == "PING fireclaw\r\n");
  CHECK(irc.session.deadline(irc.now) == irc.now + seconds{60});
  irc.on({":s PONG s :fireclaw"}, seconds{50});
  CHECK_FALSE(irc.session.closed());
  irc.step(seconds{90});
  irc.step(seconds{60});
  CHECK(irc.session.closed());
  CHECK(irc.all<IrcClosed>().at(0).reason == "the server went silent");
}

TEST_CASE("a server that never lets us in is left") {
  Played irc;
  irc.step();
  CHECK(irc.session.deadline(irc.now) == irc.now + seconds{60});
  irc.step(seconds{60});
  CHECK(irc.session.closed());
}

TEST_CASE("what is said in the channel and in private is told apart") {
  Played irc;
  irc.join();
  irc.on({":alice!a@h PRIVMSG #Control :!list", ":alice!a@h PRIVMSG Overseer :hi \x02there",
          ":alice!a@h PRIVMSG #other :not for us", ":alice!a@h NOTICE #control :!list",
          ":server PRIVMSG #control :!list", ":overseer!o@host PRIVMSG #control :!list",
          ":alice!a@h PRIVMSG #control :"});
  const auto texts = irc.all<IrcText>();
  REQUIRE(texts.size() == 2);
  CHECK(texts[0].text == "!list");
  CHECK_FALSE(texts[0].in_private);
  CHECK(texts[1].text == "hi there");
  CHECK(texts[1].in_private);
}

TEST_CASE("CTCP is answered, seldom, and a notice never") {
  Played irc;
  irc.join();
  irc.step(seconds{60});
  CHECK(has(irc.on({":a!b@c PRIVMSG overseer :\x01VERSION\x01"}), "NOTICE a :\x01VERSION fireclaw overseer"));
  CHECK(has(irc.on({":a!b@c PRIVMSG overseer :\x01PING 12\x01"}), "NOTICE a :\x01PING 12\x01"));
  CHECK(irc.on({":a!b@c PRIVMSG overseer :\x01"
                "DCC SEND x\x01"})
            .empty());
  CHECK(irc.on({":a!b@c NOTICE overseer :\x01VERSION\x01"}).empty());
  std::string sent;
  for (int i = 0; i < 100; ++i) sent += irc.on({":a!b@c PRIVMSG overseer :\x01VERSION\x01"});
  sent += irc.step(seconds{1});
  CHECK(std::count(sent.begin(), sent.end(), '\n') <= 1);
  CHECK(irc.all<IrcText>().empty());
}

TEST_CASE("who is in the channel is known") {
  Played irc;
  irc.join();
  CHECK(irc.session.is_member("ALICE"));
  CHECK(irc.session.is_member("bob"));
  CHECK_FALSE(irc.session.is_member("carol"));
  irc.on({":carol!c@h JOIN #control", ":bob!b@h NICK :rob", ":alice!a@h PART #control :bye"});
  CHECK(irc.session.is_member("carol"));
  CHECK(irc.session.is_member("rob"));
  CHECK_FALSE(irc.session.is_member("bob"));
  CHECK_FALSE(irc.session.is_member("alice"));
  irc.on({":rob!b@h QUIT :gone", ":op!o@h KICK #control carol :out"});
  CHECK_FALSE(irc.session.is_member("rob"));
  CHECK_FALSE(irc.session.is_member("carol"));
  irc.on({":carol!c@h JOIN #other"});
  CHECK_FALSE(irc.session.is_member("carol"));
}

TEST_CASE("a channel that we are thrown out of is joined again") {
  Played irc;
  irc.join();
  irc.on({":op!o@h KICK #control overseer :out"});
  CHECK_FALSE(irc.session.joined());
  CHECK(irc.step(seconds{14}).empty());
  CHECK(irc.step(seconds{1}) == "JOIN #control\r\n");
  irc.on({":s 474 overseer #control :Cannot join channel (+b)"});
  CHECK(has(irc.all<IrcTrouble>().back().what, "cannot join #control: Cannot join channel (+b)"));
  CHECK(irc.step(seconds{15}) == "JOIN #control\r\n");
  CHECK(irc.step(seconds{29}).empty());
}

TEST_CASE("every line fits once the server has put our name before it") {
  Played irc;
  irc.join();
  std::string text;
  for (int i = 0; i < 300; ++i) text += i % 3 == 0 ? "世 " : "wörd ";
  CHECK(irc.session.say("#control", text));
  std::string sent;
  for (int i = 0; i < 60; ++i) sent += irc.step(seconds{1});
  std::size_t lines = 0;
  for (std::size_t at = 0; at < sent.size();) {
    const auto end = sent.find("\r\n", at);
    const auto line = sent.substr(at, end - at);
    CHECK(std::string_view{":overseer!o@host "}.size() + line.size() + 2 <= 512);
    CHECK(line.starts_with("PRIVMSG #control :"));
    ++lines;
    at = end + 2;
  }
  CHECK(lines > 3);
}

TEST_CASE("answers to several people take turns, and too much is dropped") {
  Played irc;
  irc.join();
  irc.step(seconds{60});
  for (int i = 0; i < 100; ++i) CHECK(irc.session.say("alice", "long answer"));
  CHECK_FALSE(irc.session.say("alice", "one too many"));
  CHECK(irc.session.say("bob", "short answer"));
  CHECK(has(irc.step(), "PRIVMSG bob :short answer\r\n"));
  CHECK_FALSE(irc.session.say("a b", "x"));
  CHECK_FALSE(irc.session.say("", "x"));
}

TEST_CASE("the reason why a server lets us go decides what comes next") {
  Played flooded;
  flooded.join();
  flooded.on({"ERROR :Closing link (Excess Flood)"});
  CHECK(flooded.session.flooded());
  CHECK_FALSE(flooded.session.unwelcome());
  Played banned;
  banned.join();
  banned.on({"ERROR :Closing link: K-Lined"});
  CHECK(banned.session.unwelcome());
  CHECK(banned.session.closed());
  CHECK_FALSE(banned.session.joined());
}

TEST_CASE("a goodbye waits for what is to be said, but not for long, and is the last word") {
  Played irc;
  irc.join();
  irc.step(seconds{60});
  irc.session.say("#control", "Stopped ann");
  irc.session.quit("done\r\nfor today", irc.now);
  CHECK(irc.session.quitting());
  CHECK(irc.step() == "PRIVMSG #control :Stopped ann\r\nQUIT :done  for today\r\n");
  CHECK(irc.step(seconds{10}).empty());

  Played busy;
  busy.join();
  busy.step(seconds{60});
  for (int i = 0; i < 20; ++i) busy.session.say("#control", "a line");
  busy.session.quit("done", busy.now);
  CHECK_FALSE(has(busy.step(), "QUIT"));
  CHECK(busy.session.deadline(busy.now) <= busy.now + seconds{1});
  CHECK(busy.step(seconds{1}) == "PRIVMSG #control :a line\r\n");
  CHECK(busy.step(seconds{1}) == "PRIVMSG #control :a line\r\nQUIT done\r\n");
  CHECK(busy.step(seconds{10}).empty());

  Played early;
  early.step();
  early.session.quit("done", early.now);
  CHECK(early.step() == "QUIT done\r\n");
}

TEST_CASE("what waits for somebody who goes is not said to who takes the nick") {
  for (const std::string line : {":alice!a@h QUIT :bye", ":alice!a@h NICK ally"}) {
    CAPTURE(line);
    Played irc;
    irc.join();
    irc.step(seconds{60});
    for (int i = 0; i < 10; ++i) irc.session.say("alice", "secret");
    irc.session.say("bob", "for bob");
    CHECK(has(irc.step(), "PRIVMSG alice secret"));
    irc.on({line});
    std::string sent;
    for (int i = 0; i < 20; ++i) sent += irc.step(seconds{1});
    CHECK_FALSE(has(sent, "secret"));
    REQUIRE(irc.all<IrcLeft>().size() == 1);
    CHECK(irc.all<IrcLeft>().at(0).nick == "alice");
  }
}

TEST_CASE("an account is believed only where the server has agreed to name it") {
  Played agreed;
  agreed.step();
  agreed.on({":s CAP * LS :account-tag", ":s CAP * ACK :account-tag"});
  agreed.join();
  agreed.on({"@account=alice :alice!a@h PRIVMSG #control :!list"});
  CHECK(agreed.all<IrcText>().at(0).account == "alice");
  Played not_agreed;
  not_agreed.step();
  not_agreed.on({":s CAP * LS :message-tags", ":s CAP * ACK :message-tags"});
  not_agreed.join();
  not_agreed.on({"@account=alice :alice!a@h PRIVMSG #control :!list"});
  CHECK(not_agreed.all<IrcText>().at(0).account.empty());
}

TEST_CASE("nonsense from a server does no harm") {
  Played irc;
  irc.join();
  irc.on({":s 353",
          ":s 366",
          ":s 353 overseer = #control",
          "JOIN",
          ":x JOIN",
          "KICK #control",
          "NICK",
          ":overseer NICK",
          "PRIVMSG",
          ":a!b PRIVMSG",
          ":a!b@c PRIVMSG #control",
          "CAP",
          "PING",
          ":s 401",
          ":s 474",
          "CHGHOST",
          ":s 005",
          ":s 001",
          ":a!b@c PRIVMSG overseer :\x01",
          ":a!b@c PRIVMSG overseer :\x01\x01",
          ":!@ PRIVMSG #control :!list"});
  CHECK_FALSE(irc.session.closed());
}

TEST_CASE("what the server does not pass on is reported") {
  Played irc;
  irc.join();
  irc.on({":s 404 overseer #control :Cannot send to channel"});
  const auto troubles = irc.all<IrcTrouble>();
  REQUIRE(troubles.size() == 1);
  CHECK(troubles[0].what == "not said in #control: Cannot send to channel");
}
