#include <doctest/doctest.h>

#include <chrono>
#include <string>
#include <vector>

#include "bounded_output.hpp"
#include "fireclaw/error.hpp"
#include "line_reader.hpp"
#include "message.hpp"
#include "progress.hpp"
#include "schema.hpp"
#include "schema_check.hpp"
#include "sys/base64.hpp"

using namespace fireclaw;
using namespace fireclaw::mcp;

namespace {

Malformed malformed(std::string_view line) {
  const auto message = read_line(line);
  REQUIRE(std::holds_alternative<Malformed>(message));
  return std::get<Malformed>(message);
}

std::string problem_with(const Json& schema, const Json& value) {
  try {
    check_against(schema, value);
  } catch (const Error& problem) {
    CHECK(problem.code() == ErrorCode::InvalidArgument);
    return problem.what();
  }
  return {};
}

}  // namespace

TEST_CASE("lines are found in whatever pieces they come") {
  const std::string stream = "one\r\ntwo\n\nthree\nrest";
  const std::vector<Line> expected{{"one"}, {"two"}, {"three"}};
  for (std::size_t piece = 1; piece <= stream.size(); ++piece) {
    LineReader reader{10};
    std::vector<Line> lines;
    for (std::size_t at = 0; at < stream.size(); at += piece) {
      for (auto& line : reader.feed(stream.substr(at, piece))) lines.push_back(std::move(line));
    }
    CHECK(lines == expected);
  }
}

TEST_CASE("a line that is too long is passed over, and the next one is read") {
  LineReader reader{5};
  const std::vector<Line> expected{{"", true}, {"12345"}, {"", true}, {"ok"}};
  CHECK(reader.feed("123456\n12345\n" + std::string(100, 'x') + "\nok\n") == expected);
  CHECK(reader.feed(std::string(4, 'a')).empty());
  CHECK(reader.feed(std::string(4, 'b')).empty());
  CHECK(reader.feed("\n") == std::vector<Line>{{"", true}});
}

TEST_CASE("requests, notifications and responses are told apart") {
  const auto message = read_line(R"({"jsonrpc":"2.0","id":7,"method":"m","params":{"a":1}})");
  const auto& request = std::get<Request>(message);
  CHECK(request.id == 7);
  CHECK(request.method == "m");
  CHECK(request.params == Json{{"a", 1}});
  CHECK(std::get<Notification>(read_line(R"({"jsonrpc":"2.0","method":"n"})")).params == Json::object());
  CHECK(std::holds_alternative<Response>(read_line(R"({"jsonrpc":"2.0","id":1,"result":{}})")));
}

TEST_CASE("what is not a message is named, with its id where it has one") {
  for (const auto* line : {"", "{", "nonsense", "{\"a\":\xff}", "\"\\ud800\"", "{}{}"}) {
    CAPTURE(line);
    CHECK(malformed(line).code == RpcError::Parse);
    CHECK(malformed(line).id.is_null());
  }
  for (const auto* line : {"1", "null", "\"x\"", "{}", R"({"jsonrpc":"1.0","id":3,"method":"m"})",
                           R"({"jsonrpc":"2.0","id":3})", R"({"jsonrpc":"2.0","id":3,"method":5})"}) {
    CAPTURE(line);
    CHECK(malformed(line).code == RpcError::InvalidRequest);
  }
  CHECK(malformed(R"({"jsonrpc":"1.0","id":3,"method":"m"})").id == 3);
  CHECK(malformed(R"({"jsonrpc":"2.0","id":null,"method":"m"})").code == RpcError::InvalidRequest);
  CHECK(malformed(R"({"jsonrpc":"2.0","id":1.5,"method":"m"})").id.is_null());
  CHECK(is_id(parse_json("7.0")));
  CHECK_FALSE(is_id(parse_json("7.5")));
  CHECK(malformed(R"({"jsonrpc":"2.0","id":[],"method":"m"})").id.is_null());
  CHECK(malformed(R"({"jsonrpc":"2.0","id":"a","method":"m","params":[1]})").code == RpcError::InvalidParams);
  CHECK(malformed(R"({"jsonrpc":"2.0","id":"a","method":"m","params":[1]})").id == "a");
}

TEST_CASE("what is nested too deep is refused before it is walked") {
  const auto nested = [](std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  CHECK(malformed("{\"a\":" + nested(1'000'000) + "}").problem.find("nested") != std::string::npos);
  CHECK_NOTHROW(parse_json(nested(most_nesting)));
  CHECK_THROWS_AS(parse_json(nested(most_nesting + 2)), Error);
}

TEST_CASE("bytes that are not UTF-8 are sent as characters that stand for them") {
  CHECK(to_line({{"text", "a\xff\x62"}}) == "{\"text\":\"a\xef\xbf\xbd\x62\"}");
  CHECK(to_line({{"text", "two\nlines"}}) == R"({"text":"two\nlines"})");
}

TEST_CASE("what some readers take for the end of a line is escaped") {
  const Json value{{"text", "a\u0085b\u2028c\u2029d\u20AC\u00A9"}};
  const auto line = to_line(value);
  CHECK(line == "{\"text\":\"a\\u0085b\\u2028c\\u2029d\u20AC\u00A9\"}");
  CHECK(parse_json(line) == value);
}

TEST_CASE("arguments are held against their schema, and what does not fit is named") {
  auto choice = text_schema("");
  choice["enum"] = {"a", "b"};
  auto list = list_schema("", {{"type", "string"}});
  list["minItems"] = 1;
  auto word = text_schema("");
  word["maxLength"] = 3;
  const auto schema = object_schema({{"name", word},
                                     {"count", whole_schema("", 1, 9)},
                                     {"flag", flag_schema("")},
                                     {"ratio", number_schema("")},
                                     {"choice", choice},
                                     {"list", list},
                                     {"env", texts_schema("")}},
                                    {"name"});
  CHECK(problem_with(schema, {{"name", "x"}}).empty());
  CHECK(problem_with(schema, {{"name", "äöü"},
                              {"count", 9.0},
                              {"flag", true},
                              {"ratio", 1},
                              {"choice", "b"},
                              {"list", {"x"}},
                              {"env", {{"A", "1"}}}})
            .empty());
  CHECK(problem_with(schema, Json::object()) == "arguments must have 'name'");
  CHECK(problem_with(schema, {{"name", 5}}) == "'name' must be a text");
  CHECK(problem_with(schema, {{"name", "long"}}) == "'name' must be at most 3 characters");
  CHECK(problem_with(schema, {{"name", "x"}, {"nmae", "y"}}) == "arguments must not have 'nmae'");
  CHECK(problem_with(schema, {{"name", "x"}, {"count", 0}}) == "'count' must be at least 1");
  CHECK(problem_with(schema, {{"name", "x"}, {"count", 1.5}}) == "'count' must be a whole number");
  CHECK(problem_with(schema, {{"name", "x"}, {"count", 1e300}}) == "'count' must be at most 9");
  CHECK(problem_with(schema, {{"name", "x"}, {"flag", "yes"}}) == "'flag' must be true or false");
  CHECK(problem_with(schema, {{"name", "x"}, {"ratio", "1"}}) == "'ratio' must be a number");
  CHECK(problem_with(schema, {{"name", "x"}, {"choice", "c"}}) == R"('choice' must be one of ["a","b"])");
  CHECK(problem_with(schema, {{"name", "x"}, {"list", Json::array()}}) == "'list' must be at least 1 long");
  CHECK(problem_with(schema, {{"name", "x"}, {"list", {"x", 1}}}) == "'list[1]' must be a text");
  CHECK(problem_with(schema, {{"name", "x"}, {"env", {{"A", 1}}}}) == "'env.A' must be a text");
}

TEST_CASE("much output keeps its beginning and its end") {
  BoundedOutput output{10};
  output.add("01234");
  output.add("56789");
  CHECK(output.text() == "0123456789");
  CHECK_FALSE(output.cut());
  output.add("x");
  CHECK(output.cut());
  CHECK(output.text() == "01234\n[... 1 bytes left out ...]\n6789x");
  for (int i = 0; i < 1000; ++i) output.add("abcdefg");
  CHECK(output.total() == 7011);
  CHECK(output.text() == "01234\n[... 7001 bytes left out ...]\ncdefg");
  output.add(std::string(100, 'y') + "z");
  CHECK(output.text() == "01234\n[... 7102 bytes left out ...]\nyyyyz");
}

TEST_CASE("no character is torn where output is cut") {
  BoundedOutput output{8};
  output.add("abcä");
  output.add("äxyz0ä12");
  CHECK(output.text() == "abc\n[... 8 bytes left out ...]\nä12");
}

TEST_CASE("progress tells output at once, but not more often than can be taken") {
  std::vector<Json> sent;
  ProgressReporter::Clock::time_point now{};
  ProgressReporter report{[&](const Json& message) { sent.push_back(message["params"]); }, "t", true,
                          [&] { return now; }};
  report("first");
  REQUIRE(sent.size() == 1);
  CHECK(sent.front() == Json{{"progressToken", "t"}, {"progress", 5}, {"message", "first"}});
  for (int i = 0; i < 1000; ++i) report("x");
  const auto burst = sent.size();
  CHECK(burst < 50);
  now += std::chrono::seconds{1};
  report("y");
  REQUIRE(sent.size() == burst + 1);
  CHECK(sent.back()["progress"] == 1006);
  // What was not told in between comes with it.
  const auto told = sent.back()["message"].get<std::string>();
  CHECK(told == std::string(1000 - (burst - 1), 'x') + "y");
  double last = 0;
  for (const auto& params : sent) {
    CHECK(params["progress"].get<double>() > last);
    last = params["progress"].get<double>();
  }
}

TEST_CASE("what was held back is told after a while, and then that the call continues, until it ends") {
  std::vector<Json> sent;
  ProgressReporter::Clock::time_point now{};
  const std::chrono::seconds silence{3};
  ProgressReporter report{[&](const Json& message) { sent.push_back(message["params"]); }, "t", true,
                          [&] { return now; }};
  now += std::chrono::seconds{2};
  report.keep_up(silence);
  CHECK(sent.empty());
  now += std::chrono::seconds{1};
  report.keep_up(silence);
  REQUIRE(sent.size() == 1);
  CHECK(sent.back() == Json{{"progressToken", "t"}, {"progress", 1}, {"message", "still under way after 3 s"}});
  for (int i = 0; i < 30; ++i) report("x");
  const auto burst = sent.size();
  now += silence;
  report.keep_up(silence);
  REQUIRE(sent.size() == burst + 1);
  CHECK(sent.back()["message"].get<std::string>().find_first_not_of('x') == std::string::npos);
  report.end();
  report("late");
  now += silence;
  report.keep_up(silence);
  CHECK(sent.size() == burst + 1);
}

TEST_CASE("progress of much output stays short") {
  std::vector<Json> sent;
  ProgressReporter report{[&](const Json& message) { sent.push_back(message["params"]); }, 1, true};
  report(std::string(1'000'000, 'x'));
  REQUIRE(sent.size() == 1);
  CHECK(sent.front()["message"].get<std::string>().size() < 5000);
  ProgressReporter silent{[&](const Json& message) { sent.push_back(message["params"]); }, 1, false};
  silent("text");
  CHECK_FALSE(sent.back().contains("message"));
}

TEST_CASE("base64 is read as it is written") {
  std::string bytes;
  for (int i = 0; i < 300; ++i) {
    CHECK(sys::from_base64(sys::to_base64(bytes)) == bytes);
    bytes += static_cast<char>(i * 7);
  }
  CHECK(sys::to_base64("ab") == "YWI=");
  CHECK(sys::from_base64("YW I=") == std::nullopt);
  CHECK(sys::from_base64("Y") == std::nullopt);
  CHECK(sys::from_base64("YWI==") == std::nullopt);
  CHECK(sys::from_base64("YW=I") == std::nullopt);
  CHECK(sys::from_base64("YWI") == "ab");
  CHECK(sys::from_base64("YW\nI=\r\n") == "ab");
}
