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
  IrcSession session{identity, IrcTimes{},  pacer,
                     1,        TimePoint{}, parse_server_time("2026-01-01T12:00:00.000Z").value()};
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
  CHECK(irc.on({":s CAP * LS :account-tag sasl=PLAIN server-time"}) ==
        "CAP REQ :account-tag batch message-tags server-time\r\n");
  CHECK(irc.on({":s CAP * ACK :account-tag message-tags"}).empty());
  CHECK(irc.on({":s CAP * ACK :batch server-time"}) == "CAP END\r\n");
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

TEST_CASE("what is refused together is asked for one by one") {
  Played irc;
  irc.step();
  irc.on({":s CAP * LS :batch server-time"});
  CHECK(irc.on({":s CAP * NAK :batch server-time"}) == "CAP REQ batch\r\nCAP REQ server-time\r\n");
  CHECK(irc.on({":s CAP * NAK :batch"}).empty());
  CHECK(irc.on({":s CAP * ACK :server-time"}) == "CAP END\r\n");
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

TEST_CASE("a logged-in client has services end the connection that holds its nick") {
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

TEST_CASE("the people in the channel are known") {
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

TEST_CASE("an invitation to the control channel is followed at once, one to another channel is not") {
  Played irc;
  irc.step();
  irc.on({":s 001 overseer :hi", ":s 376 overseer :end"});
  CHECK(irc.on({":s 473 overseer #control :invite only", ":alice!a@h INVITE bob #control",
                ":alice!a@h INVITE overseer #else"})
            .empty());
  CHECK(irc.on({":alice!a@h INVITE overseer :#Control"}) == "JOIN #control\r\n");
  irc.on({":overseer!o@host JOIN #control"});
  CHECK(irc.on({":alice!a@h INVITE overseer #control"}).empty());
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

TEST_CASE("what was said before we came is not heard") {
  const auto tagged = [](std::string_view time, std::string_view text) {
    return fmt::format("@time=2026-01-01T{}Z :alice!a@h PRIVMSG #control :{}", time, text);
  };
  const auto texts = [](const Played& irc) {
    std::vector<std::string> all;
    for (const auto& text : irc.all<IrcText>()) all.push_back(text.text);
    return all;
  };
  const auto join = [](Played& irc, const std::string& tags) {
    irc.step();
    irc.on({tags + ":s 001 overseer :hi", ":s 376 overseer :end", tags + ":overseer!o@host JOIN #control"});
  };
  SUBCASE("by the server's own clock, however wrong it is") {
    Played irc;
    join(irc, "@time=2026-01-01T10:00:00.500Z ");
    irc.on({tagged("10:00:00.499", "!old"), tagged("10:00:00.500", "!new"), tagged("10:00:07.000", "!newer"),
            "@time=2026-01-01T10:00:00.000Z :alice!a@h PRIVMSG overseer :!old",
            "@time=2026-01-01T10:00:01.000Z :alice!a@h PRIVMSG overseer :!private"});
    CHECK(texts(irc) == std::vector<std::string>{"!new", "!newer", "!private"});
  }
  SUBCASE("by ours, where the server does not say when we came") {
    Played irc;
    join(irc, "");
    irc.on({tagged("11:59:00.000", "!old"), "@time=2020-01-01T00:00:00.000Z :alice!a@h PRIVMSG #control :!older",
            tagged("11:59:55.000", "!new")});
    CHECK(texts(irc) == std::vector<std::string>{"!new"});
  }
  SUBCASE("in a batch of history, and in one inside it") {
    Played irc;
    join(irc, "");
    irc.on({":s BATCH +a chathistory #control", "@batch=a :alice!a@h PRIVMSG #control :!old",
            "@batch=a :s BATCH +b other", "@batch=b :alice!a@h PRIVMSG #control :!old", ":s BATCH -b", ":s BATCH -a",
            ":s BATCH +c netsplit x y", "@batch=c :alice!a@h PRIVMSG #control :!new", ":s BATCH -c",
            "@batch=a :alice!a@h PRIVMSG #control :!newer"});
    CHECK(texts(irc) == std::vector<std::string>{"!new", "!newer"});
  }
  SUBCASE("between a bouncer's words, whose parts are nobody to talk with") {
    Played irc;
    join(irc, "");
    irc.on({":***!znc@znc.in PRIVMSG #control :Buffer Playback...", ":alice!a@h PRIVMSG #control :!old",
            ":*buffextras!znc@znc.in PRIVMSG #control :bob quit", ":alice!a@h PRIVMSG #control :!older",
            ":***!znc@znc.in PRIVMSG #control :Playback Complete.", ":alice!a@h PRIVMSG #control :!new",
            ":*status!znc@znc.in PRIVMSG overseer :!help"});
    CHECK(texts(irc) == std::vector<std::string>{"!new"});
  }
  SUBCASE("between a server's notice and its answer, where there is nothing else to go by") {
    Played irc;
    join(irc, "");
    CHECK(has(irc.on({":s NOTICE #control :Replaying up to 20 lines of pre-join history",
                      ":alice!a@h PRIVMSG #control :!old"}),
              "PING fireclaw-history\r\n"));
    irc.on({":s PONG s :fireclaw-history", ":alice!a@h PRIVMSG #control :!new"});
    CHECK(texts(irc) == std::vector<std::string>{"!new"});
    // Of a person it would mean nothing, and a server that does not answer makes nobody deaf.
    irc.on({":bob!b@h NOTICE #control :playback", ":alice!a@h PRIVMSG #control :!still"});
    irc.on({":s NOTICE #control :playback", ":alice!a@h PRIVMSG #control :!old"});
    irc.on({":alice!a@h PRIVMSG #control :!later"}, seconds{11});
    CHECK(texts(irc) == std::vector<std::string>{"!new", "!still", "!later"});
  }
}

TEST_CASE("times of servers are read, and nothing else for one") {
  const auto time = [](std::string_view text) { return parse_server_time(text); };
  CHECK(time("1970-01-02T00:00:01.250Z") == WallTime{std::chrono::milliseconds{86'401'250}});
  CHECK(time("1970-01-01T00:00:01Z") == WallTime{std::chrono::seconds{1}});
  for (const auto* text : {"", "Z", "1970-01-01", "1970-13-01T00:00:00.000Z", "1970-01-01 00:00:00.000Z",
                           "1970-01-01T00:00:00.000", "197a-01-01T00:00:00.000Z", "1970-01--1T00:00:00.000Z"}) {
    CAPTURE(text);
    CHECK_FALSE(time(text));
  }
}

TEST_CASE("a program says that it is one before it joins, where there is a mode for it") {
  Played irc;
  irc.step();
  CHECK(irc.on({":s 001 overseer :hi", ":s 005 overseer BOT=b NETWORK=x :are supported", ":s 376 overseer :end"}) ==
        "MODE overseer +b\r\nJOIN #control\r\n");
  Played other;
  other.step();
  CHECK(other.on({":s 001 overseer :hi", ":s 004 overseer s v1 BRiow ov :x", ":s 422 overseer :none"}) ==
        "MODE overseer +B\r\nJOIN #control\r\n");
}

TEST_CASE("a server without a message of the day is joined all the same") {
  Played irc;
  irc.step();
  CHECK(irc.on({":s 001 overseer :hi", ":s 251 overseer :There are 3 users"}).empty());
  CHECK(irc.session.deadline(irc.now) == irc.now + seconds{5});
  CHECK(irc.step(seconds{5}) == "JOIN #control\r\n");
  CHECK(irc.on({":s 376 overseer :end"}).empty());
}

TEST_CASE("a nick that the server cuts is not asked for again") {
  IrcIdentity identity;
  identity.nick = "overseer-of-all";
  for (const std::string features : {"NICKLEN=11", "NICKLEN=", "X"}) {
    CAPTURE(features);
    Played irc{identity};
    irc.step();
    irc.on({":s 001 overseer-of :hi", ":s 005 x " + features + " :are supported", ":s 376 x :end"});
    CHECK_FALSE(has(irc.step(seconds{40}) + irc.step(seconds{40}), "NICK"));
  }
  Played taken{identity};
  taken.step();
  taken.on({":s 433 * overseer-of-all :in use", ":s 001 overseer-o_ :hi", ":s 005 x NICKLEN=11 :are supported",
            ":s 376 x :end"});
  CHECK(has(taken.step(seconds{30}), "NICK overseer-of\r\n"));
  Played late{identity};
  late.step();
  late.on({":s 001 x :hi", ":s 376 x :end"});
  CHECK(has(late.step(seconds{30}), "NICK overseer-of-all\r\n"));
  late.on({":x!o@h NICK :overseer-"});
  CHECK_FALSE(has(late.step(seconds{40}) + late.step(seconds{40}), "NICK"));
  Played refused{identity};
  refused.step();
  refused.on({":s 001 x :hi", ":s 376 x :end", ":s 432 x overseer-of-all :Erroneous"}, seconds{31});
  refused.on({":s 432 x overseer-of-all :Erroneous"});
  CHECK_FALSE(has(refused.step(seconds{40}) + refused.step(seconds{40}), "NICK"));
}

TEST_CASE("what is said to a part of the channel is told with that part") {
  Played irc;
  irc.join();
  irc.on(
      {":alice!a@h PRIVMSG @#control :!list", ":alice!a@h PRIVMSG #Control :!list", ":alice!a@h PRIVMSG @#other :!no"});
  const auto texts = irc.all<IrcText>();
  REQUIRE(texts.size() == 2);
  CHECK(texts[0].where == "@#control");
  CHECK(texts[1].where == "#control");
}

TEST_CASE("a channel that the server puts us in instead is left") {
  Played irc;
  irc.step();
  irc.on({":s 001 overseer :hi", ":s 376 overseer :end"});
  CHECK(irc.on({":s 470 overseer #control ##overflow :Forwarding to another channel",
                ":overseer!o@host JOIN ##overflow"}) == "PART ##overflow\r\n");
  CHECK_FALSE(irc.session.joined());
  CHECK(has(irc.all<IrcTrouble>().at(0).what, "cannot join #control: the server forwards to ##overflow"));
  CHECK(irc.step(seconds{15}) == "JOIN #control\r\n");
}

TEST_CASE("whatever a server refuses is told, with its own words") {
  const auto trouble_of = [](const std::string& line, bool joined) {
    Played irc;
    irc.join();
    if (!joined) irc.on({":op!o@h KICK #control overseer :out"});
    irc.events.clear();
    irc.on({line});
    const auto troubles = irc.all<IrcTrouble>();
    return troubles.empty() ? std::string{} : troubles.back().what;
  };
  CHECK(has(trouble_of("FAIL JOIN ACCOUNT_REQUIRED #control :You must log in first", false), "You must log in first"));
  CHECK(has(trouble_of(":s 437 overseer #control :Channel is unavailable", false), "Channel is unavailable"));
  CHECK(has(trouble_of(":s 477 overseer #control :Need a registered nick", false), "cannot join #control"));
  CHECK(has(trouble_of(":s 477 overseer #control :Need a registered nick", true), "not said in #control"));
  for (const auto* numeric : {"480", "495", "520", "926"}) {
    CHECK(has(trouble_of(fmt::format(":s {} overseer #control :Not now", numeric), false),
              "cannot join #control: Not now"));
  }
  for (const auto* numeric : {"408", "415", "439", "489", "492"}) {
    CHECK(
        has(trouble_of(fmt::format(":s {} overseer #control :Not so", numeric), true), "not said in #control: Not so"));
  }
  CHECK(has(trouble_of(":s 489 overseer #control :Only with TLS", false), "cannot join #control"));
  CHECK(trouble_of(":s 439 overseer :Please wait while we process your connection", true).empty());
  CHECK(has(trouble_of(":s 437 overseer boss :Nick is unavailable", true), "cannot be called 'boss'"));
  CHECK(has(trouble_of("FAIL PRIVMSG CANNOT_SEND alice :They do not want it", true), "not said in alice"));
  CHECK(has(trouble_of("FAIL * X :y", true), "the server refuses of *: y (X)"));
  CHECK(trouble_of("NOTE * X :y", true).empty());
  Played irc;
  irc.join();
  irc.on({":s 404 overseer #control :Cannot send"});
  REQUIRE(irc.all<IrcUndelivered>().size() == 1);
  CHECK(irc.all<IrcUndelivered>().at(0).target == "#control");
  Played early;
  early.step();
  early.on({"FAIL * ACCOUNT_REQUIRED_TO_CONNECT :Log in first"});
  early.step(seconds{61});
  CHECK(has(early.all<IrcClosed>().at(0).reason, "Log in first"));
}

TEST_CASE("a collision of nicks is not a ban") {
  Played irc;
  irc.join();
  irc.on(
      {":s KILL overseer :s (Nick collision)", "ERROR :Closing Link: host (Killed (s (Nick collision, not banned)))"});
  CHECK(irc.session.closed());
  CHECK_FALSE(irc.session.unwelcome());
  CHECK(has(irc.all<IrcTrouble>().at(0).what, "Nick collision"));
}
