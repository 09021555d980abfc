#include "json/syntax.hpp"

#include <doctest/doctest.h>

using fireclaw::json::describe_position;
using fireclaw::json::find_syntax_error;

namespace {

// Where the first error is and what it is; "fine" if there is none.
std::string verdict(std::string_view text) {
  const auto error = find_syntax_error(text);
  return error ? std::to_string(error->offset) + ": " + error->problem : "fine";
}

}  // namespace

TEST_CASE("a text without an error is fine") {
  for (const char* text : {"{}", " [ ] ", "-0", "1.5e-7", "[1,2,[3,{}]]", "\"\\u00e9\\ud83d\\ude00\\n\"", "1e-999",
                           "0.0e999", "\r\n{\"a\" : [true, false, null], \"b\":\"\xC3\xA9\"}\t"}) {
    CAPTURE(text);
    CHECK(verdict(text) == "fine");
  }
}

TEST_CASE("what is missing between values is named where it is missing") {
  CHECK(verdict("[1 2]") == "3: expected ',' or ']'");
  CHECK(verdict(R"({"a": 1 "b": 2})") == "8: expected ',' or '}'");
  CHECK(verdict(R"({"a" 1})") == "5: expected ':'");
  CHECK(verdict(R"({"a": })") == "6: expected a value");
  CHECK(verdict("[1,]") == "3: expected a value");
  CHECK(verdict("[,1]") == "1: expected a value or ']'");
  CHECK(verdict(R"({"a":1,})") == "7: expected a key in double quotes");
  CHECK(verdict("{a:1}") == "1: expected a key in double quotes or '}'");
  CHECK(verdict("[1}") == "2: expected ',' or ']'");
  CHECK(verdict("{} {}") == "3: expected nothing more");
  CHECK(verdict("nul") == "0: expected a value");
  CHECK(verdict("// no") == "0: expected a value");
  CHECK(verdict(std::string_view{"1\0", 2}) == "1: expected nothing more");
}

TEST_CASE("a text that ends too early says what should have followed") {
  CHECK(verdict("") == "0: expected a value, but the text ends");
  CHECK(verdict("[") == "1: expected a value or ']', but the text ends");
  CHECK(verdict("{\"a\":") == "5: expected a value, but the text ends");
  CHECK(verdict("\"abc") == "4: expected '\"' at the string's end, but the text ends");
  CHECK(verdict("-") == "1: expected a digit, but the text ends");
}

TEST_CASE("strings and numbers are looked into") {
  CHECK(verdict("[\"a\nb\"]") == "3: a control character in a string has to be written with a backslash");
  CHECK(verdict(R"("a\x")") == "2: there is no such escape");
  CHECK(verdict(R"("\u12g4")") == "1: expected four hexadecimal digits after '\\u'");
  CHECK(verdict(R"("\u-123")") == "1: expected four hexadecimal digits after '\\u'");
  CHECK(verdict(R"("ab\ud800")") == "3: half of a pair of escapes");
  CHECK(verdict(R"("\ud800\ud800")") == "1: half of a pair of escapes");
  CHECK(verdict(R"("\udc00")") == "1: half of a pair of escapes");
  CHECK(verdict("\"a\xff\"") == "2: this is not UTF-8");
  CHECK(verdict("[-012]") == "1: a number does not start with 0");
  CHECK(verdict("00") == "0: a number does not start with 0");
  CHECK(verdict("1.x") == "2: expected a digit");
  CHECK(verdict("1e+") == "3: expected a digit, but the text ends");
  CHECK(verdict("[0, -1e999]") == "4: the number is too large");
}

TEST_CASE("a text nested a million deep is walked over like any other") {
  CHECK(verdict(std::string(1'000'000, '[')) == "1000000: expected a value or ']', but the text ends");
  CHECK(verdict(std::string(1'000'000, '[') + std::string(1'000'000, ']')) == "fine");
}

TEST_CASE("a position is a line and a column of characters") {
  const std::string_view text = "{\n \"\xC3\xA9\xC3\xA9\" x\n";
  CHECK(describe_position(text, 0) == "line 1, column 1");
  CHECK(describe_position(text, 1) == "line 1, column 2");
  CHECK(describe_position(text, 2) == "line 2, column 1");
  CHECK(describe_position(text, text.find('x')) == "line 2, column 7");
  CHECK(describe_position(text, text.size()) == "line 3, column 1");
}
