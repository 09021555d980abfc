#include "state/settings/bot_fields.hpp"
#include "base/text.hpp"

#include <algorithm>
#include <initializer_list>
#include <string>
#include <string_view>

#include <fmt/format.h>

namespace fireclaw::state {
namespace {

struct Field {
  std::string_view name;
  void (*check)(const json::Value&);
};

/// An object with no other fields than these, each of which is right if it is there.
void check_object(const json::Value& value, std::initializer_list<Field> fields) {
  for (const auto& [name, member] : value.as_object()) {
    const auto* field = std::ranges::find(fields, std::string_view{name}, &Field::name);
    if (field == fields.end()) member.fail("unknown field");
    if (!member.is_null()) field->check(member);
  }
}

void check_flag(const json::Value& value) { static_cast<void>(value.as_bool()); }

template <std::int64_t Low, std::int64_t High>
void check_whole(const json::Value& value) {
  const auto number = value.as_int();
  if (number < Low || number > High) value.fail(fmt::format("must be a whole number from {} to {}", Low, High));
}

void check_range(const json::Value& value, double low, double high) {
  const auto number = value.as_double();
  if (number < low || number > high) value.fail(fmt::format("must be a number from {} to {}", low, high));
}
void check_seconds(const json::Value& value) { check_range(value, 0.01, 86400); }
void check_count(const json::Value& value) { check_whole<1, 1 << 20>(value); }

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

/// How many characters UTF-8 `text` has.
std::size_t characters(std::string_view text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

/// `least` to `most` characters of which `allowed` holds.
void check_text(const json::Value& value, std::size_t least, std::size_t most, bool (*allowed)(char),
                std::string_view must) {
  const auto& text = value.as_string();
  const auto count = characters(text);
  if (count < least || count > most || !std::ranges::all_of(text, allowed)) value.fail(must);
}

bool in_one_line(char c) { return !is_control(c); }
bool in_secret(char c) { return c != '\0' && c != '\r' && c != '\n'; }
bool in_host(char c) { return is_letter(c) || is_digit(c) || c == '.' || c == '_' || c == ':' || c == '%' || c == '-'; }
bool in_word(char c) { return !is_control(c) && c != ' '; }

void check_password(const json::Value& value) { check_text(value, 0, 400, in_secret, "must be a password"); }
void check_path(const json::Value& value) {
  const auto& text = value.as_string();
  const bool absolute = text.empty() || text.front() == '/';
  if (!absolute || !std::ranges::all_of(text, in_secret)) value.fail("must be an absolute path");
}

void check_sasl(const json::Value& value) {
  check_object(value,
               {{"user", [](const json::Value& v) { check_text(v, 1, 128, in_secret, "must be a user name"); }},
                {"password", [](const json::Value& v) { check_text(v, 1, 1024, in_secret, "must be a password"); }}});
  static_cast<void>(value.at("user"));
  static_cast<void>(value.at("password"));
}

void check_url(const json::Value& value) {
  const std::string_view url = value.as_string();
  constexpr std::string_view must = "must be an http:// or https:// URL";
  std::string_view rest;
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (url.starts_with(scheme)) rest = url.substr(scheme.size());
  }
  if (rest.empty() || rest.front() == '/' || rest.front() == ':' || !std::ranges::all_of(rest, in_word))
    value.fail(must);
  if (rest.find_first_of("@?#") != std::string_view::npos) {
    value.fail("must not hold a user, a query or a fragment; keys go to llm.api_key");
  }
}

void check_keep_alive(const json::Value& value) {
  if (!value.is_string()) return static_cast<void>(value.as_int());
  const std::string_view text = value.as_string();
  const auto digits = text.find_first_not_of("-0123456789.");
  const auto unit = digits == std::string_view::npos ? std::string_view{} : text.substr(digits);
  if (digits == 0 || (unit != "ms" && unit != "s" && unit != "m" && unit != "h")) {
    value.fail("must be seconds or a duration like \"10m\"");
  }
}

void check_choice(const json::Value& value, std::initializer_list<std::string_view> allowed) {
  const auto& text = value.as_string();
  if (std::ranges::find(allowed, std::string_view{text}) != allowed.end()) return;
  std::string list;
  for (const auto word : allowed) list += fmt::format("{}\"{}\"", list.empty() ? "" : ", ", word);
  value.fail(fmt::format("must be one of {}, not \"{}\"", list, text));
}

void check_containers(const json::Value& value) {
  if (value.type() == json::Value::Type::Bool) return;
  check_object(value, {{"enabled", check_flag},
                       {"network", check_flag},
                       {"memory_mib", check_whole<16, 1 << 20>},
                       {"cpus", [](const json::Value& v) { check_range(v, 0.01, 1024); }},
                       {"pids", check_whole<1, 1 << 22>}});
}

}  // namespace

void check_host(const json::Value& value) {
  check_text(value, 1, 255, in_host, "must be a host name, an address, or \"gateway\"");
}

void check_irc(const json::Value& value) {
  check_object(value, {{"host", check_host},
                       {"port", check_whole<1, 65535>},
                       {"password", check_password},
                       {"tls", check_flag},
                       {"tls_verify", check_flag},
                       {"ca_file", check_path},
                       {"sasl", check_sasl}});
}

void check_llm(const json::Value& value) {
  check_object(value,
               {{"url", check_url},
                {"api",
                 [](const json::Value& v) {
                   check_choice(v, {"ollama", "openai"});
                 }},
                {"temperature", [](const json::Value& v) { check_range(v, 0, 2); }},
                {"num_ctx", check_whole<256, 1 << 22>},
                {"max_tokens", check_whole<1, 1 << 20>},
                {"think", check_flag},
                {"keep_alive", check_keep_alive},
                {"api_key", [](const json::Value& v) { check_text(v, 0, 4096, in_word, "must be printable text"); }},
                {"ca_file", check_path},
                {"timeouts", [](const json::Value& v) {
                   check_object(v, {{"connect_s", check_seconds},
                                    {"first_token_s", check_seconds},
                                    {"idle_s", check_seconds},
                                    {"total_s", check_seconds}});
                 }}});
}

void check_tools(const json::Value& value) {
  if (value.type() == json::Value::Type::Bool) return;
  check_object(value, {{"enabled", check_flag},
                       {"steps", check_whole<1, 100>},
                       {"timeout_s", [](const json::Value& v) { check_range(v, 0.1, 3600); }},
                       {"output_bytes", check_whole<256, 1 << 20>},
                       {"allow", check_masks},
                       {"containers", check_containers}});
}

void check_peers(const json::Value& value) {
  check_object(value,
               {{"bots",
                 [](const json::Value& v) {
                   for (const auto& item : v.as_array()) {
                     check_text(item, 1, 512, in_word, "must be a nick or a mask like nick!user@host");
                   }
                 }},
                {"realname", [](const json::Value& v) { check_text(v, 0, 512, in_one_line, "must be one line"); }},
                {"cooldown_s", [](const json::Value& v) { check_range(v, 0, 86400); }},
                {"max_turns", check_whole<0, 1000>}});
}

void check_limits(const json::Value& value) {
  check_object(value, {{"queue", check_count},
                       {"turn_s", check_seconds},
                       {"turns_per_minute", check_count},
                       {"answer_lines", check_count},
                       {"answer_chars", check_count},
                       {"context_messages", check_count},
                       {"context_chars", check_count},
                       {"conversations", check_count},
                       {"channels", check_count},
                       {"message_burst", check_count},
                       {"message_interval_s", check_seconds},
                       {"connect_s", check_seconds},
                       {"register_s", check_seconds},
                       {"ping_interval_s", check_seconds},
                       {"ping_timeout_s", check_seconds},
                       {"regain_s", check_seconds},
                       {"reconnect_first_s", check_seconds},
                       {"reconnect_max_s", check_seconds}});
}

void check_persona(const json::Value& value) {
  check_text(
      value, 1, 20000, [](char c) { return c != '\0'; }, "must be 1 to 20000 characters");
}

void check_trigger(const json::Value& value) {
  check_text(value, 1, 64, in_one_line, "must be 1 to 64 characters on one line");
  if (value.as_string().front() == ' ') value.fail("must not begin with a space");
}

void check_model(const json::Value& value) { check_text(value, 1, 200, in_word, "must be a model's name"); }

void check_channels(const json::Value& value) {
  for (const auto& item : value.as_array()) {
    check_text(item, 2, 128, in_one_line, "must be a channel like \"#agents\" or \"#agents key\"");
    const std::string_view text = item.as_string();
    const auto name = text.substr(0, text.find(' '));
    if (std::string_view{"#&+!"}.find(name.front()) == std::string_view::npos || name.size() < 2 || name.size() > 64 ||
        text.find_first_of(",:") != std::string_view::npos) {
      item.fail("must be a channel like \"#agents\" or \"#agents key\"");
    }
  }
}

void check_masks(const json::Value& value) {
  for (const auto& item : value.as_array()) {
    const std::string_view text = item.as_string();
    const auto bang = text.find('!');
    const auto at = text.find('@', bang == std::string_view::npos ? 0 : bang);
    const bool whole = bang != std::string_view::npos && at != std::string_view::npos && bang > 0 && at > bang + 1 &&
                       at + 1 < text.size() && std::ranges::all_of(text, in_word);
    if (!whole) item.fail("must be a mask like nick!user@host");
  }
}

void check_invite_policy(const json::Value& value) { check_choice(value, {"anyone", "operators", "nobody"}); }
void check_log_level(const json::Value& value) { check_choice(value, {"debug", "info", "warning", "error"}); }

}  // namespace fireclaw::state
