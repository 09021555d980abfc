#include <doctest/doctest.h>

#include <limits>
#include <string>

#include "fireclaw/error.hpp"
#include "json/json.hpp"
#include "sys/file.hpp"

using fireclaw::Error;
using fireclaw::ErrorCode;
using fireclaw::json::Value;

namespace {

Value parse(std::string_view text) { return Value::parse(text, "test"); }

// The text of the Error(Corrupt) that `action` throws; the test fails if it throws none.
template <typename F>
std::string problem(F action) {
  try {
    action();
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::Corrupt);
    return error.what();
  }
  FAIL("no error was thrown");
  return {};
}

std::string refused(std::string_view text) {
  return problem([&] { parse(text); });
}

// What is wrong, and where as far as that is known.
std::string syntax(std::string_view text) {
  const auto message = refused(text);
  constexpr std::string_view before = "test: not valid JSON: ";
  REQUIRE(message.starts_with(before));
  return message.substr(before.size());
}

// What simdjson calls most of what is wrong.
const std::string structure =
    "The JSON document has an improper structure: missing or superfluous commas, braces, missing keys, etc.";

std::string nested(std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); }

}  // namespace

TEST_CASE("every kind of value is read as what it is") {
  const Value value = parse(R"({"null": null, "yes": true, "no": false, "text": "a\u00e9\n\ud83d\ude00",
                                "list": [1, "two", []], "object": {"k": -7}, "double": 2.5})");
  CHECK(value.type() == Value::Type::Object);
  CHECK(value.is_object());
  CHECK(value.at("null").is_null());
  CHECK(value.at("yes").as_bool());
  CHECK_FALSE(value.at("no").as_bool());
  CHECK(value.at("text").is_string());
  CHECK(value.at("text").as_string() == "a\xC3\xA9\n\xF0\x9F\x98\x80");
  CHECK(value.at("list").type() == Value::Type::Array);
  CHECK(value.at("list").as_array().size() == 3);
  CHECK(value.at("list").as_array()[1].as_string() == "two");
  CHECK(value.at("object").at("k").as_int() == -7);
  CHECK(value.at("double").type() == Value::Type::Number);
  CHECK(value.at("double").as_double() == 2.5);
  CHECK(value.as_object().size() == 7);
  CHECK(parse("7").as_int() == 7);
  CHECK(parse("\"x\"").as_string() == "x");
  CHECK(parse(" [ ] ").as_array().empty());
  CHECK(parse("{}").as_object().empty());
}

TEST_CASE("integers keep all of their 64 bits") {
  CHECK(parse("9223372036854775807").as_int() == std::numeric_limits<std::int64_t>::max());
  CHECK(parse("-9223372036854775808").as_int() == std::numeric_limits<std::int64_t>::min());
  CHECK(parse("18446744073709551615").as_uint() == std::numeric_limits<std::uint64_t>::max());
  CHECK(parse("9223372036854775807").as_uint() == 9223372036854775807U);
  CHECK(parse("0").as_uint() == 0);
  CHECK(parse("-1").as_double() == -1.0);
  CHECK(parse("18446744073709551615").as_double() == 18446744073709551616.0);
}

TEST_CASE("an integer beyond 64 bits is a double") {
  CHECK(parse("18446744073709551616").as_double() == 18446744073709551616.0);
  CHECK(parse("-9223372036854775809").as_double() == -9223372036854775808.0);
  CHECK(parse("[1, 123456789012345678901234567890, 3]").as_array()[1].as_double() == 123456789012345678901234567890.0);
  // Only there: what stands in strings, fractions and exponents stays.
  const Value value = parse(
      R"({"s": "99999999999999999999 \" 99999999999999999999", "f": 0.12345678901234567890123, "i": 99999999999999999999,
          "e": 1e-00000000000000000000001, "p": 1e+00000000000000000000001, "b": "\\", "l": 1234567890123456789})");
  CHECK(value.at("s").as_string() == "99999999999999999999 \" 99999999999999999999");
  CHECK(value.at("f").as_double() == 0.12345678901234567890123);
  CHECK(value.at("i").as_double() == 1e20);
  CHECK(value.at("e").as_double() == 0.1);
  CHECK(value.at("p").as_double() == 10);
  CHECK(value.at("b").as_string() == "\\");
  CHECK(problem([] { static_cast<void>(parse("18446744073709551616").as_int()); }) ==
        "test: expected an integer of at most 64 bits");
  CHECK(problem([] { static_cast<void>(parse("18446744073709551616").as_uint()); }) ==
        "test: expected an integer from 0 to 2^64 - 1");
}

TEST_CASE("a text without an error is read") {
  for (const char* text : {"{}", " [ ] ", "-0", "1.5e-7", "[1,2,[3,{}]]", "\"\\u00e9\\ud83d\\ude00\\n\"", "1e-999",
                           "0.0e999", "\r\n{\"a\" : [true, false, null], \"b\":\"\xC3\xA9\"}\t"}) {
    CAPTURE(text);
    CHECK_NOTHROW(parse(text));
  }
}

TEST_CASE("a fraction of many digits is the number that it says") {
  CHECK(parse("[0.12345678901234567890123]").as_array()[0].as_double() == 0.12345678901234567890123);
  CHECK(parse("0.30000000000000004441").as_double() == 0.30000000000000004441);
  CHECK(parse("[-0.00012345678901234567890123e3]").as_array()[0].as_double() == -0.00012345678901234567890123e3);
  CHECK(parse("1.5").as_double() == 1.5);
}

TEST_CASE("what is not JSON is refused") {
  for (const char* text : {"{",
                           "}",
                           "[1,]",
                           "{\"a\":1,}",
                           "[1 2]",
                           "{\"a\" 1}",
                           "{a:1}",
                           "{'a':1}",
                           "nul",
                           "True",
                           "NaN",
                           "[NaN]",
                           "Infinity",
                           "-Infinity",
                           "[-Infinity]",
                           "01",
                           "+1",
                           "1.",
                           ".5",
                           "1e",
                           "- 1",
                           "0x10",
                           "1e999",
                           "-1e999",
                           "\"",
                           "\"\n\"",
                           "\"\\x\"",
                           "\"\\ud800\"",
                           "\"\\udc00\\ud800\"",
                           "\"\xff\"",
                           "\"\xC0\x80\"",
                           "\"\xED\xA0\x80\"",
                           "\xEF\xBB\xBF{}",
                           "1 2",
                           "{} {}",
                           "[] x",
                           "/* c */ 1",
                           "1 // c"}) {
    CAPTURE(text);
    CHECK(refused(text).starts_with("test: not valid JSON: "));
  }
  CHECK(refused(std::string_view{"1\0", 2}).starts_with("test: not valid JSON: "));
}

TEST_CASE("a syntax error is shown with its line and column") {
  CHECK(refused("{\n  \"engines\": [],\n  \"schema\" 1\n}\n") ==
        "test: not valid JSON: line 3, column 12: " + structure);
  CHECK(refused("{\n \"\xC3\xA9\xC3\xA9\" x\n}") == "test: not valid JSON: line 2, column 7: " + structure);
}

TEST_CASE("what is missing between values is named where it is missing") {
  CHECK(syntax("[1 2]") == "line 1, column 4: " + structure);
  CHECK(syntax(R"({"a": 1 "b": 2})") == "line 1, column 9: " + structure);
  CHECK(syntax(R"({"a" 1})") == "line 1, column 6: " + structure);
  CHECK(syntax(R"({"a": })") == "line 1, column 7: " + structure);
  CHECK(syntax("[1,]") == "line 1, column 4: " + structure);
  CHECK(syntax("[,1]") == "line 1, column 2: " + structure);
  CHECK(syntax(R"({"a":1,})") == "line 1, column 8: " + structure);
  CHECK(syntax("{a:1}") == "line 1, column 2: " + structure);
  CHECK(syntax("[1}") == "JSON document ended early in the middle of an object or array.");
  CHECK(syntax("{} {}") == "line 1, column 4: Unexpected trailing content in the JSON input.");
  CHECK(syntax("nul") == "line 1, column 1: this is not a value");
  CHECK(syntax("[nul]") == "line 1, column 2: this is not a value");
  CHECK(syntax("// no") == "line 1, column 1: " + structure);
  CHECK(syntax(std::string_view{"1\0", 2}) == "line 1, column 1: Problem while parsing a number");
  CHECK(syntax("1 2") == "line 1, column 1: Unexpected trailing content in the JSON input.");
  CHECK(syntax("\xEF\xBB\xBF{}") == "line 1, column 1: " + structure);
}

TEST_CASE("a text that ends too early is refused") {
  CHECK(syntax("[") == "JSON document ended early in the middle of an object or array.");
  CHECK(syntax("{\"a\":") == "JSON document ended early in the middle of an object or array.");
  CHECK(syntax("[1, 2") == "JSON document ended early in the middle of an object or array.");
  CHECK(syntax("\"abc") == "A string is opened, but never closed.");
  CHECK(syntax("-") == "line 1, column 1: this is not a value");
}

TEST_CASE("strings and numbers are looked into") {
  CHECK(syntax("[\"a\nb\"]") == "Within strings, some characters must be escaped, we found unescaped characters");
  CHECK(syntax(R"("a\x")") == "Problem while parsing a string");
  CHECK(syntax(R"(["a\x", 1])") == "line 1, column 7: Problem while parsing a string");
  CHECK(syntax(R"("\u12g4")") == "Problem while parsing a string");
  CHECK(syntax(R"("\u-123")") == "Problem while parsing a string");
  CHECK(syntax(R"("ab\ud800")") == "Problem while parsing a string");
  CHECK(syntax(R"("\ud800\ud800")") == "Problem while parsing a string");
  CHECK(syntax(R"("\udc00")") == "Problem while parsing a string");
  CHECK(syntax("\"a\xff\"") == "The input is not valid UTF-8");
  CHECK(syntax("[-012]") == "line 1, column 2: Problem while parsing a number");
  CHECK(syntax("00") == "line 1, column 1: Problem while parsing a number");
  CHECK(syntax("1.x") == "line 1, column 1: Problem while parsing a number");
  CHECK(syntax("1e+") == "line 1, column 1: Problem while parsing a number");
  CHECK(syntax("[0, -1e999]") == "line 1, column 5: Problem while parsing a number");
  CHECK(syntax("[1, tru]") == "line 1, column 5: this is not a value");
}

TEST_CASE("emptiness is called by its name") {
  CHECK(refused("") == "test: not valid JSON: it is empty");
  CHECK(refused(" \n\t ") == "test: not valid JSON: it is empty");
}

TEST_CASE("every proper beginning of a document is refused") {
  const std::string text = R"({"a": [1, 2.5e3, {"b": "c\u00e9"}], "d": null, "e": true})";
  for (std::size_t length = 0; length < text.size(); ++length) {
    CAPTURE(length);
    refused(std::string_view{text}.substr(0, length));
  }
  parse(text);
}

TEST_CASE("nesting is bounded") {
  CHECK(parse(nested(128)).as_array().size() == 1);
  CHECK(refused(nested(129)) == "test: not valid JSON: it is nested more than 128 deep");
  CHECK(refused(nested(100'000)) == "test: not valid JSON: it is nested more than 128 deep");
  CHECK(refused(std::string(1'000'000, '[')).starts_with("test: not valid JSON: "));
}

TEST_CASE("duplicate keys are refused, also when they are written differently") {
  CHECK(refused(R"({"a": 1, "b": 2, "a": 3})") == "test: duplicate key \"a\"");
  CHECK(refused(R"({"x": [{}, {"a": 1, "\u0061": 2}]})") == "test: x[1]: duplicate key \"a\"");
  CHECK(parse(R"({"a": {"a": 1}, "A": 2})").as_object().size() == 2);
}

TEST_CASE("a value says where it stands") {
  const Value value =
      Value::parse(R"({"engines": [{}, {"name": 5, "odd key": {"x": [[0, 1]]}, "": 1}]})", "config.json");
  CHECK(value.where() == "config.json");
  CHECK(value.at("engines").where() == "config.json: engines");
  const Value engine = value.at("engines").as_array()[1];
  CHECK(engine.where() == "config.json: engines[1]");
  CHECK(engine.at("name").where() == "config.json: engines[1].name");
  CHECK(engine.at("odd key").at("x").as_array()[0].as_array()[1].where() ==
        "config.json: engines[1][\"odd key\"].x[0][1]");
  CHECK(engine.at("").where() == "config.json: engines[1][\"\"]");
  CHECK(Value::parse("[[1]]", "list").as_array()[0].as_array()[0].where() == "list: [0][0]");
  CHECK(Value::parse(R"({"a\nb": 1})", "x").as_object().begin()->second.where() == "x: [\"a\\nb\"]");
}

TEST_CASE("a wrong type is an error that names the field and what was expected") {
  const Value value = parse(R"({"a": [1, "x", 2.5, -1], "b": true})");
  const auto& list = value.at("a").as_array();
  CHECK(problem([&] { static_cast<void>(list[0].as_string()); }) == "test: a[0]: expected a string");
  CHECK(problem([&] { static_cast<void>(list[1].as_int()); }) == "test: a[1]: expected an integer");
  CHECK(problem([&] { static_cast<void>(list[1].as_uint()); }) == "test: a[1]: expected an integer");
  CHECK(problem([&] { static_cast<void>(list[1].as_double()); }) == "test: a[1]: expected a number");
  CHECK(problem([&] { static_cast<void>(list[2].as_int()); }) == "test: a[2]: expected an integer of at most 64 bits");
  CHECK(problem([&] { static_cast<void>(list[3].as_uint()); }) == "test: a[3]: expected an integer from 0 to 2^64 - 1");
  CHECK(problem([&] { static_cast<void>(list[0].as_bool()); }) == "test: a[0]: expected true or false");
  CHECK(problem([&] { static_cast<void>(value.at("b").as_array()); }) == "test: b: expected an array");
  CHECK(problem([&] { static_cast<void>(value.at("b").as_object()); }) == "test: b: expected an object");
  CHECK(problem([&] { static_cast<void>(value.at("a").at("x")); }) == "test: a: expected an object");
  CHECK(problem([&] { value.fail("not today"); }) == "test: not today");
}

TEST_CASE("members are required, optional or unknown") {
  const Value value = parse(R"({"name": "x", "nothing": null})");
  CHECK(problem([&] { static_cast<void>(value.at("kernel")); }) == "test: missing key \"kernel\"");
  CHECK(value.at("nothing").is_null());
  CHECK(value.find("name")->as_string() == "x");
  CHECK_FALSE(value.find("nothing"));
  CHECK_FALSE(value.find("kernel"));
  value.only({"name", "nothing", "more"});
  CHECK(problem([&] { value.only({"name"}); }) == "test: unknown key \"nothing\"");
}

TEST_CASE("a value outlives the document it came from") {
  const Value inner = [] { return parse(R"({"a": [{"b": "deep"}]})").at("a").as_array()[0].at("b"); }();
  CHECK(inner.as_string() == "deep");
  CHECK(inner.where() == "test: a[0].b");
}

TEST_CASE("a file is parsed under its own name") {
  const fireclaw::sys::TempDir folder{std::filesystem::temp_directory_path(), "fireclaw-test-"};
  const std::filesystem::path path = folder.path() / "config.json";
  fireclaw::sys::write_file_atomic(path, R"({"a": 1})");
  CHECK(Value::parse_file(path).at("a").where() == path.string() + ": a");
  fireclaw::sys::write_file_atomic(path, R"({"a": )");
  CHECK(problem([&] { Value::parse_file(path); }).starts_with(path.string() + ": not valid JSON: "));
}

TEST_CASE("single members are picked out of an object without the others") {
  const auto picked = [](std::string_view text) {
    return fireclaw::json::pick_strings(text, "test", [](std::string_view key) { return key == "a" || key == "b"; });
  };
  CHECK(picked(R"({"x": [{"a": 1}, "]"], "\u0061": "o\u006ee", "y": {"b": {}}, "b": "two"})") ==
        std::map<std::string, std::string>{{"a", "one"}, {"b", "two"}});
  CHECK(picked("{}").empty());
  CHECK(problem([&] { picked(R"({"a": 1})"); }) == "test: expected a string as \"a\"");
  CHECK(problem([&] { picked(R"({"a": "1", "\u0061": "2"})"); }) == "test: duplicate key \"a\"");
  for (const auto* text : {"", "[]", "1", R"({"a": "x")", R"({"a": "x"} {})", R"({"a" "x"})", "{\"x\": \"\xff\"}"}) {
    CAPTURE(text);
    CHECK(problem([&] { picked(text); }).starts_with("test: not valid JSON: "));
  }
}
