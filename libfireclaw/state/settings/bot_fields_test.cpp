#include "state/settings/bot_fields.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "fireclaw/error.hpp"

using namespace fireclaw;

namespace {

/// What `check` says of the JSON text, or "fits".
std::string said(void (*check)(const json::Value&), const std::string& text) {
  try {
    check(json::Value::parse("{\"at\": " + text + "}", "f").at("at"));
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::Corrupt);
    return error.what();
  }
  return "fits";
}

std::string quoted(const std::string& text) { return '"' + text + '"'; }
std::string letters(std::size_t count) { return quoted(std::string(count, 'a')); }

struct Row {
  void (*check)(const json::Value&);
  /// With the value in place of @.
  std::string form;
  std::vector<std::string> fit, refused;
};

}  // namespace

TEST_CASE("what the bot is told is taken at its bounds, and not beyond") {
  const std::string umlauts = [] {
    std::string text;
    for (int i = 0; i < 64; ++i) text += "ä";
    return text;
  }();
  for (const auto& [check, form, fit, refused] : std::vector<Row>{
           {state::check_host,
            "@",
            {quoted("gateway"), quoted("a_b-c.example"), quoted("fe80::1%eth0"), letters(1), letters(255)},
            {quoted(""), letters(256), quoted("a b"), quoted("a/b"), quoted("[::1]"), "7"}},
           {state::check_irc,
            R"({"password": @})",
            {quoted(""), quoted("a b\\u007f"), letters(400), "null"},
            {letters(401), quoted("a\\u0000"), quoted("a\\r"), quoted("a\\n")}},
           {state::check_irc, R"({"ca_file": @})", {quoted(""), quoted("/ca")}, {quoted("ca"), quoted("/c\\na")}},
           {state::check_irc,
            R"({"sasl": {"user": @, "password": "p"}})",
            {letters(1), letters(128)},
            {quoted(""), letters(129), quoted("a\\n")}},
           {state::check_irc,
            R"({"sasl": {"user": "u", "password": @}})",
            {letters(1), letters(1024)},
            {quoted(""), letters(1025), quoted("a\\n")}},
           {state::check_irc, R"({"sasl": @})", {}, {R"({"user": "u"})", R"({"password": "p"})", "{}"}},
           {state::check_irc, R"({"tls": @})", {"true", "false"}, {"1", quoted("yes")}},
           {state::check_llm,
            R"({"url": @})",
            {quoted("http://a"), quoted("https://a:1/v1")},
            {quoted("http://"), quoted("http:///v1"), quoted("https://:80"), quoted("http://a b"), quoted("a"),
             quoted("http://a?q"), quoted("http://a#f"), quoted("http://u@a")}},
           {state::check_llm,
            R"({"api_key": @})",
            {quoted(""), letters(4096), quoted("~ä")},
            {letters(4097), quoted("a b"), quoted("a\\u007f"), quoted("a\\u001f")}},
           {state::check_llm,
            R"({"keep_alive": @})",
            {"-1", quoted("10m"), quoted("1.5h"), quoted("500ms"), quoted("7s")},
            {quoted("10"), quoted("m"), quoted("10d"), "1.5", "true"}},
           {state::check_llm, R"({"api": @})", {quoted("ollama"), quoted("openai")}, {quoted("grpc"), quoted("")}},
           {state::check_peers,
            R"({"bots": [@]})",
            {quoted("!"), letters(512)},
            {quoted(""), letters(513), quoted("a b")}},
           {state::check_peers, R"({"realname": @})", {quoted(""), letters(512)}, {letters(513), quoted("a\\nb")}},
           {state::check_persona,
            "@",
            {letters(1), letters(20000), quoted("a\\nb")},
            {quoted(""), letters(20001), quoted("a\\u0000")}},
           {state::check_trigger,
            "@",
            {quoted("!"), letters(64), quoted(umlauts), quoted("hey you")},
            {quoted(""), letters(65), quoted(umlauts + "a"), quoted(" a"), quoted("a\\tb")}},
           {state::check_model, "@", {letters(1), letters(200)}, {quoted(""), letters(201), quoted("a b")}},
           {state::check_channels,
            "[@]",
            {quoted("#a"), quoted("&a"), quoted("+a"), quoted("!a"), quoted("#" + std::string(63, 'a')),
             quoted("#a " + std::string(125, 'k'))},
            {quoted(""), quoted("#"), quoted("aa"), quoted("# key"), quoted("#" + std::string(64, 'a')),
             quoted("#a " + std::string(126, 'k')), quoted("#a,#b"), quoted("#a:b"), quoted("#a\\u0007"), "7"}},
           {state::check_masks,
            "[@]",
            {quoted("a!b@c"), quoted("*!*@*"), quoted("a@b!c@d")},
            {quoted("a"), quoted("a!b"), quoted("a@c"), quoted("!b@c"), quoted("a!@c"), quoted("a!b@"), quoted("a@b!c"),
             quoted("a !b@c")}},
           {state::check_invite_policy,
            "@",
            {quoted("anyone"), quoted("operators"), quoted("nobody")},
            {quoted("all"), quoted("")}},
           {state::check_log_level,
            "@",
            {quoted("debug"), quoted("info"), quoted("warning"), quoted("error")},
            {quoted("trace")}},
           {state::check_irc, R"({"port": @})", {"1", "65535"}, {"0", "65536", "1.5"}},
           {state::check_llm, R"({"temperature": @})", {"0", "2"}, {"-0.01", "2.01", "true"}},
           {state::check_llm, R"({"timeouts": {"idle_s": @}})", {"0.01", "86400"}, {"0.009", "86400.1"}},
           {state::check_tools, R"({"timeout_s": @})", {"0.1", "3600"}, {"0.09", "3600.1"}},
           {state::check_tools, R"({"containers": {"cpus": @}})", {"0.01", "1024"}, {"0.009", "1024.1"}},
           {state::check_peers, R"({"cooldown_s": @})", {"0", "86400"}, {"-0.1", "86400.1"}},
           {state::check_limits, R"({"queue": @})", {"1", "1048576"}, {"0", "1048577"}},
       }) {
    const auto with = [&, whole = form](const std::string& value) {
      auto text = whole;
      return text.replace(text.find('@'), 1, value);
    };
    CAPTURE(form);
    for (const auto& value : fit) {
      CAPTURE(value);
      CHECK(said(check, with(value)) == "fits");
    }
    for (const auto& value : refused) {
      CAPTURE(value);
      CHECK(said(check, with(value)) != "fits");
    }
  }
}

TEST_CASE("a choice that there is not is told with those that there are") {
  CHECK(said(state::check_llm, R"({"api": "grpc"})") == R"(f: at.api: must be one of "ollama", "openai", not "grpc")");
}
