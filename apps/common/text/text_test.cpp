#include "common/text/text.hpp"

#include <doctest/doctest.h>

namespace fireclaw::cli {
namespace {

TEST_CASE("what a terminal or a reader could obey is escaped in JSON, and nothing else is changed") {
  CHECK(escape_controls("{\"a\": \"x\u0085y\u2028z\u2029\u20AC\u00A9\"}\n") ==
        "{\"a\": \"x\\u0085y\\u2028z\\u2029\u20AC\u00A9\"}\n");
  CHECK(escape_controls("[\"\u009b31m\x7f\u202e\U0001F600\"]") == "[\"\\u009b31m\\u007f\\u202e\U0001F600\"]");
  CHECK(escape_controls("").empty());
  CHECK(escape_controls("\xE2") == "\xE2");
}

TEST_CASE("a text is UTF-8 if each character is whole and written as it may be") {
  for (const std::string_view text : {"", "a", "größer – 日本", "\U0001F600", "\u07FF\uFFFF\U0010FFFF"})
    CHECK(is_utf8(text));
  // Cut off, a continuation alone, too long for what it says, half of a pair, beyond the last one.
  for (const std::string_view text :
       {"a\xE2\x82", "\x80", "\xC0\x80", "\xE0\x80\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xFF", "\xC3z"}) {
    CAPTURE(text);
    CHECK_FALSE(is_utf8(text));
  }
}

TEST_CASE("what a terminal would obey is shown instead") {
  CHECK(printable("a\nb\x1b[31m") == "a\\x0ab\\x1b[31m");
  CHECK(printable("\xc2\x9b"
                  "31m") == "\\xc2\\x9b31m");
  CHECK(printable("\xff ok \x7f") == "\\xff ok \\x7f");
  CHECK(printable("a\u202Eb\u2028") == "a\\xe2\\x80\\xaeb\\xe2\\x80\\xa8");
  CHECK(printable("größer – 日本") == "größer – 日本");
}

TEST_CASE("text is broken between words, and a long word stands alone") {
  CHECK(wrap_words("one two three", 7) == std::vector<std::string>{"one two", "three"});
  CHECK(wrap_words("a /very/long/path b", 6) == std::vector<std::string>{"a", "/very/long/path", "b"});
  CHECK(wrap_words("äöü äöü", 7) == std::vector<std::string>{"äöü äöü"});
  CHECK(wrap_words("", 7) == std::vector<std::string>{""});
  CHECK(wrap_words("  a  b  ", 7) == std::vector<std::string>{"a b"});
}

TEST_CASE("a mistyped word is known again, another one is not") {
  const std::vector<std::string> commands{"list", "logs", "start", "status", "stop"};
  CHECK(likely_meant("lits", commands) == "list");
  CHECK(likely_meant("sta", commands) == "start");
  CHECK(likely_meant("statsu", commands) == "status");
  CHECK(likely_meant("frob", commands).empty());
  CHECK(likely_meant("ls", commands).empty());
  CHECK(likely_meant("--jsn", {"--json", "--help"}) == "--json");
  CHECK(likely_meant("-x", {"-h", "-n"}).empty());
}

TEST_CASE("what is too long ends with an ellipsis, counted in characters") {
  CHECK(shorten("äöüß", 3) == "äö…");
  CHECK(shorten("äöüß", 4) == "äöüß");
  CHECK(width("äöüß…") == 5);
}

}  // namespace
}  // namespace fireclaw::cli
