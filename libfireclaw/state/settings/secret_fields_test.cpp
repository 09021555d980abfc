#include "state/settings/secret_fields.hpp"

#include <doctest/doctest.h>

using namespace fireclaw;

namespace {

std::string stripped(const std::string& text, std::vector<std::string>& left_out) {
  return state::without_secrets(json::Value::parse(text, "test"), text, left_out);
}

}  // namespace

TEST_CASE("passwords and keys are left out wherever they stand, and named") {
  std::vector<std::string> left_out;
  const auto text = stripped(
      R"({"irc": {"port": 6667, "password": "p1", "sasl": {"user": "u", "password": "p2"}},
          "llm": {"url": "http://x", "api_key": "k"}, "list": [{"password": "p3"}, 1.5, true, null, "s"]})",
      left_out);
  CHECK(left_out == std::vector<std::string>{"irc.password", "irc.sasl", "list.password", "llm.api_key"});
  for (const char* secret : {"p1", "p2", "p3", "\"k\"", "\"u\""}) CHECK(text.find(secret) == std::string::npos);
  const auto rest = json::Value::parse(text, "rest");
  CHECK(rest ==
        json::Value::parse(R"({"irc": {"port": 6667}, "llm": {"url": "http://x"}, "list": [{}, 1.5, true, null, "s"]})",
                           "rest"));
}

TEST_CASE("a text without secrets stays as it was written") {
  std::vector<std::string> left_out;
  const std::string text = "{ \"nick\" :  \"ada\" }\n";
  CHECK(stripped(text, left_out) == text);
  CHECK(left_out.empty());
}
