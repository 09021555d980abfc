#include "irc/text.hpp"

#include <doctest/doctest.h>

#include <random>

using namespace fireclaw;
using namespace fireclaw::overseer;

TEST_CASE("nothing that a terminal or an IRC client obeys stays in a line") {
  CHECK(clean_line("a\x03"
                   "04,07red\x03 b\x02\x1F\x16"
                   "c") == "ared bc");
  CHECK(clean_line("\x04"
                   "FF0000x") == "x");
  CHECK(clean_line("\x03,5") == ",5");
  CHECK(clean_line("\x03"
                   "4, and") == ", and");
  CHECK(clean_line("one\r\ntwo\tthree") == "one  two three");
  CHECK(clean_line("\x1b[31mred") == "[31mred");
  CHECK(clean_line("a\u202Eb\u2066c\uFEFF") == "abc");
  CHECK(clean_line("a\u0085b") == "ab");
  CHECK(clean_line("Grüße, 世界 😀") == "Grüße, 世界 😀");
}

TEST_CASE("bytes that are not UTF-8 are replaced one by one") {
  CHECK(clean_line("a\xFFz") == "a\uFFFDz");
  CHECK(clean_line("\xC0\x80") == "\uFFFD\uFFFD");
  CHECK(clean_line("\xED\xA0\x80") == "\uFFFD\uFFFD\uFFFD");
  CHECK(clean_line("\xF4\x90\x80\x80").size() == 12);
  CHECK(clean_line("caf\xE9") == "caf\uFFFD");
}

TEST_CASE("a text becomes its lines that say something") {
  CHECK(clean_lines("a\r\n\n  b  \nc") == std::vector<std::string>{"a", "  b", "c"});
  CHECK(clean_lines("").empty());
  CHECK(clean_lines("\r\n\r\n").empty());
}

TEST_CASE("a long line is cut between words, and never inside a character") {
  CHECK(wrap("one two three", 8) == std::vector<std::string>{"one two", "three"});
  CHECK(wrap("one two", 7) == std::vector<std::string>{"one two"});
  CHECK(wrap("abcdefghij", 4) == std::vector<std::string>{"abcd", "efgh", "ij"});
  CHECK(wrap("ääää", 5) == std::vector<std::string>{"ää", "ää"});
  CHECK(wrap("😀😀", 4) == std::vector<std::string>{"😀", "😀"});
  // A word that is longer than a line is cut where it stands: many scripts know no spaces.
  CHECK(wrap("x 漢漢漢", 7) == std::vector<std::string>{"x 漢", "漢漢"});
  CHECK(wrap("x 漢漢 漢", 7) == std::vector<std::string>{"x", "漢漢", "漢"});
  CHECK(wrap("   ", 4).empty());
  CHECK(wrap("", 4).empty());
}

TEST_CASE("what people see as one character is not torn where a line is cut") {
  const std::string flag = "\U0001F1E9\U0001F1EA";
  const std::string keycap = "1\uFE0F\u20E3";
  const std::string family = "\U0001F468\u200D\U0001F469\u200D\U0001F467";
  const std::string england = "\U0001F3F4\U000E0067\U000E0062\U000E0065\U000E006E\U000E0067\U000E007F";
  for (const auto& unit : {flag, keycap, family, england, std::string{"e\u0301"}, std::string{"\u1100\u1161\u11A8"},
                           std::string{"\u0915\u094D\u0937"}, std::string{"\U0001F44D\U0001F3FD"}}) {
    CAPTURE(unit);
    std::string line;
    for (int i = 0; i < 50; ++i) line += unit;
    std::string together;
    for (const auto& piece : wrap(line, 61)) {
      CHECK(piece.size() <= 61);
      CHECK(piece.size() % unit.size() == 0);
      together += piece;
    }
    CHECK(together == line);
    CHECK(shorten(line, 7 * cli::width(unit) - 1).size() == 6 * unit.size() + 3);
  }
  // A mark on a space belongs to it, and what fits no line is cut all the same.
  CHECK(wrap("abc \u0301def", 6) == std::vector<std::string>{"abc \u0301", "def"});
  std::string marks = "a";
  for (int i = 0; i < 20; ++i) marks += "\u0301";
  for (const auto& piece : wrap(marks, 11)) CHECK(piece.size() <= 11);
}

TEST_CASE("whatever is wrapped fits, and nothing but spaces gets lost") {
  std::mt19937 random{7};
  const std::vector<std::string> parts{"a", "bc", " ", "  ", "ä", "世", "😀", "longer-word"};
  for (int round = 0; round < 500; ++round) {
    std::string line;
    for (int i = 0; i < 60; ++i) line += parts[random() % parts.size()];
    const auto room = 4 + random() % 40;
    std::string together;
    for (const auto& piece : wrap(line, room)) {
      REQUIRE(piece.size() <= room);
      REQUIRE(clean_line(piece) == piece);
      together += piece;
    }
    std::erase(together, ' ');
    std::erase(line, ' ');
    REQUIRE(together == line);
  }
}

TEST_CASE("a text is shortened by characters") {
  CHECK(shorten("abcdef", 4) == "abc…");
  CHECK(shorten("abcd", 4) == "abcd");
  CHECK(shorten("äöüß", 3) == "äö…");
  CHECK(shorten("", 3).empty());
}

TEST_CASE("masks compare as IRC does") {
  CHECK(matches("*!*@*", "a!b@c"));
  CHECK(matches("Alice!*@*.example.org", "alice!x@host.EXAMPLE.org"));
  CHECK_FALSE(matches("alice!*@example.org", "alice!x@example.org.evil"));
  CHECK_FALSE(matches("alice!*@*", "malice!x@y"));
  CHECK(matches("a?c", "abc"));
  CHECK_FALSE(matches("a?c", "ac"));
  // On most servers these are two people.
  CHECK_FALSE(matches("x[1]*", "X{1}y"));
  CHECK(matches("", ""));
  CHECK_FALSE(matches("", "a"));
  // A mask made to take for ever does not.
  CHECK_FALSE(matches("*a*a*a*a*a*a*a*a*a*a*b", std::string(2000, 'a')));
}

TEST_CASE("names of agents are letters, digits, - and _") {
  CHECK(is_agent_name("worker-2_b"));
  for (const auto* name : {"", "1st", "-a", "a b", "a/b", "ä", "abcdefghijklmnopqrstuvwxyz01234"}) {
    CHECK_FALSE(is_agent_name(name));
  }
}

TEST_CASE("durations and sizes are said for people") {
  using std::chrono::seconds;
  CHECK(human_age(seconds{59}) == "59 s");
  CHECK(human_age(seconds{185}) == "3 min 5 s");
  CHECK(human_age(seconds{7800}) == "2 h 10 min");
  CHECK(human_age(seconds{4 * 86400 + 3 * 3600}) == "4 d 3 h");
  CHECK(human_bytes(512) == "512 B");
  CHECK(human_bytes(17 << 20) == "17 MiB");
  CHECK(human_bytes(std::uint64_t{3} << 29) == "1.5 GiB");
  CHECK(iso_time_ms(std::chrono::system_clock::time_point{std::chrono::milliseconds{1250}}) ==
        "1970-01-01T00:00:01.250Z");
}
