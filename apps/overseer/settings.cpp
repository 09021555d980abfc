#include "settings.hpp"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>

#include <fmt/format.h>

#include "crew/operators.hpp"
#include "fireclaw/error.hpp"
#include "irc/resolver.hpp"
#include "log.hpp"

namespace fireclaw::overseer {
namespace {

using Json = nlohmann::json;

constexpr std::uint16_t tls_port = 6697;

/// A member's value, with words for when it is wrong.
class Member {
 public:
  Member(const Json& value, std::string where) : value_{value}, where_{std::move(where)} {}

  [[nodiscard]] std::string text() const {
    if (!value_.is_string()) throw wrong("must be a text");
    return value_.get<std::string>();
  }
  [[nodiscard]] std::string name() const {
    auto value = text();
    if (value.empty()) throw wrong("must not be empty");
    return value;
  }
  [[nodiscard]] bool flag() const {
    if (!value_.is_boolean()) throw wrong("must be true or false");
    return value_.get<bool>();
  }
  [[nodiscard]] std::uint64_t whole(std::uint64_t least, std::uint64_t most) const {
    if (!value_.is_number_unsigned() || value_.get<std::uint64_t>() < least || value_.get<std::uint64_t>() > most) {
      throw wrong(fmt::format("must be a whole number from {} to {}", least, most));
    }
    return value_.get<std::uint64_t>();
  }
  [[nodiscard]] Seconds seconds(double least, double most) const {
    if (!value_.is_number() || value_.get<double>() < least || value_.get<double>() > most) {
      throw wrong(fmt::format("must be a number of seconds from {} to {}", least, most));
    }
    return Seconds{value_.get<double>()};
  }
  [[nodiscard]] std::chrono::seconds whole_seconds(std::uint64_t least, std::uint64_t most) const {
    return std::chrono::seconds{whole(least, most)};
  }
  [[nodiscard]] std::vector<std::string> texts() const {
    if (!value_.is_array() || !std::ranges::all_of(value_, [](const Json& item) { return item.is_string(); })) {
      throw wrong("must be a list of texts");
    }
    return value_.get<std::vector<std::string>>();
  }
  [[nodiscard]] Error wrong(const std::string& why) const {
    return {ErrorCode::InvalidArgument, fmt::format("{}: {}", where_, why)};
  }

 private:
  const Json& value_;
  std::string where_;
};

using Read = std::function<void(const Member&, Settings&)>;

const std::map<std::string, Read, std::less<>>& members() {
  using S = Settings;
  static const std::map<std::string, Read, std::less<>> all{
      {"server", [](const Member& m, S& s) { s.server.host = m.name(); }},
      {"port", [](const Member& m, S& s) { s.server.port = static_cast<std::uint16_t>(m.whole(1, 65535)); }},
      {"tls", [](const Member& m, S& s) { s.server.tls = m.flag(); }},
      {"tls_verify", [](const Member& m, S& s) { s.server.tls_verify = m.flag(); }},
      {"tls_ca", [](const Member& m, S& s) { s.server.tls_ca = m.text(); }},
      {"password", [](const Member& m, S& s) { s.identity.password = m.text(); }},
      {"nick", [](const Member& m, S& s) { s.identity.nick = m.name(); }},
      {"user", [](const Member& m, S& s) { s.identity.user = m.name(); }},
      {"realname", [](const Member& m, S& s) { s.identity.realname = m.name(); }},
      {"sasl_user", [](const Member& m, S& s) { s.identity.sasl_user = m.text(); }},
      {"sasl_password", [](const Member& m, S& s) { s.identity.sasl_password = m.text(); }},
      {"channel", [](const Member& m, S& s) { s.identity.channel = m.name(); }},
      {"channel_key", [](const Member& m, S& s) { s.identity.channel_key = m.text(); }},
      {"operators", [](const Member& m, S& s) { s.operators = m.texts(); }},
      {"message_burst", [](const Member& m, S& s) { s.pace.burst = static_cast<unsigned>(m.whole(1, 100)); }},
      {"message_interval_s", [](const Member& m, S& s) { s.pace.interval = m.seconds(0.01, 60); }},
      {"reconnect_first_s", [](const Member& m, S& s) { s.pace.reconnect_first = m.seconds(0.05, 3600); }},
      {"reconnect_longest_s", [](const Member& m, S& s) { s.pace.reconnect_longest = m.seconds(0.05, 86400); }},
      {"connect_timeout_s", [](const Member& m, S& s) { s.pace.connect_timeout = m.whole_seconds(1, 600); }},
      {"ping_after_s", [](const Member& m, S& s) { s.times.ping_after = m.whole_seconds(1, 3600); }},
      {"ping_timeout_s", [](const Member& m, S& s) { s.times.ping_timeout = m.whole_seconds(1, 3600); }},
      {"regain_s", [](const Member& m, S& s) { s.times.regain = m.whole_seconds(1, 3600); }},
      {"rejoin_s", [](const Member& m, S& s) { s.times.rejoin = m.whole_seconds(1, 3600); }},
      {"workers", [](const Member& m, S& s) { s.crew.changes = static_cast<unsigned>(m.whole(1, 64)); }},
      {"most_waiting", [](const Member& m, S& s) { s.crew.most_waiting = m.whole(1, 10'000); }},
      {"restart_tries", [](const Member& m, S& s) { s.supervision.tries = static_cast<unsigned>(m.whole(0, 100)); }},
      {"restart_wait_s", [](const Member& m, S& s) { s.supervision.first_wait = m.seconds(0.01, 3600); }},
      {"restart_forgiven_s", [](const Member& m, S& s) { s.supervision.good_life = m.whole_seconds(1, 86400); }},
      {"survey_s", [](const Member& m, S& s) { s.supervision.survey = m.whole_seconds(1, 86400); }},
      {"audit_log", [](const Member& m, S& s) { s.audit_log = m.text(); }},
      {"metrics", [](const Member& m, S& s) { s.metrics = m.text(); }},
      {"stop_agents", [](const Member& m, S& s) { s.stop_agents = m.flag(); }},
      {"log_level", [](const Member& m, S& s) { s.log_level = log_level_from_string(m.text()); }},
  };
  return all;
}

bool is_nick(const std::string& text) {
  constexpr std::string_view others = "[]\\`_^{|}-";
  const auto fits = [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           others.find(c) != std::string_view::npos;
  };
  return !text.empty() && text.size() <= 30 && text[0] != '-' && !(text[0] >= '0' && text[0] <= '9') &&
         std::ranges::all_of(text, fits);
}

/// What can be one parameter of an IRC message.
bool is_parameter(const std::string& text) {
  return !text.empty() && text[0] != ':' && text.find_first_of(std::string_view{" \r\n\0", 4}) == std::string::npos;
}

bool is_line(const std::string& text) { return text.find_first_of(std::string_view{"\r\n\0", 3}) == std::string::npos; }

void require(bool holds, const std::string& what) {
  if (!holds) throw Error{ErrorCode::InvalidArgument, what};
}

}  // namespace

Settings parse_settings(std::string_view json, const std::string& file) {
  Settings settings;
  const auto parsed = Json::parse(json, nullptr, false, true);
  require(!parsed.is_discarded(), fmt::format("'{}' is not JSON", file));
  require(parsed.is_object(), fmt::format("'{}' holds no JSON object", file));
  for (const auto& [name, value] : parsed.items()) {
    const auto found = members().find(name);
    require(found != members().end(),
            fmt::format("'{}': there is no setting '{}'; see: fireclaw overseer --help", file, name));
    found->second(Member{value, fmt::format("'{}': {}", file, name)}, settings);
  }
  if (settings.server.tls && !parsed.contains("port")) settings.server.port = tls_port;
  return settings;
}

Settings read_settings(const std::filesystem::path& file) {
  std::ifstream stream{file, std::ios::binary};
  if (!stream) throw Error{ErrorCode::NotFound, fmt::format("configuration '{}' cannot be read", file.native())};
  const std::string text{std::istreambuf_iterator<char>{stream}, std::istreambuf_iterator<char>{}};
  return parse_settings(text, file.native());
}

void check(const Settings& settings) {
  const auto& identity = settings.identity;
  require(is_nick(identity.nick), fmt::format("'{}' cannot be a nick on IRC", identity.nick));
  require(is_parameter(identity.user) && identity.user.size() <= 20 &&
              identity.user.find_first_of("!@") == std::string::npos,
          fmt::format("'{}' cannot be a user name on IRC", identity.user));
  require(is_line(identity.realname) && is_line(identity.password), "realname and password must be one line each");
  require(is_parameter(identity.channel) && identity.channel.size() > 1 && identity.channel.size() <= 64 &&
              (identity.channel[0] == '#' || identity.channel[0] == '&') &&
              identity.channel.find(',') == std::string::npos,
          fmt::format("'{}' cannot be a channel; they begin with #", identity.channel));
  require(identity.channel_key.empty() ||
              (is_parameter(identity.channel_key) && identity.channel_key.find(',') == std::string::npos),
          "the channel's key cannot hold spaces or commas");
  require(identity.sasl_user.empty() == identity.sasl_password.empty(),
          "a SASL login needs both sasl_user and sasl_password; the password comes from the configuration or from "
          "--sasl-password-file");
  const Operators operators{settings.operators};
  require(!operators.empty() || is_loopback_name(settings.server.host),
          fmt::format("others can reach '{}': name the operators who may give commands with --operator "
                      "'nick!user@host' or --operator account:NAME, or use a server on localhost",
                      settings.server.host));
}

}  // namespace fireclaw::overseer
