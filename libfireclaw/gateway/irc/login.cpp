#include "gateway/irc/login.hpp"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "gateway/llm/requests.hpp"
#include "sys/base64.hpp"

namespace fireclaw::gateway {
namespace {

/// Tags of 8191 bytes and a message of 512, with room for servers that allow more.
constexpr std::size_t longest_line = 16 * 1024;
/// What SASL sends at once.
constexpr std::size_t piece_bytes = 400;

// What IRCv3 says of a login.
constexpr std::string_view logged_in = "900";
constexpr std::string_view succeeded = "903";
constexpr std::string_view mechanisms = "908";
constexpr std::array<std::string_view, 4> login_failures = {"902", "904", "905", "906"};
// What a server that knows nothing of it says instead: unknown command, not registered, bad CAP command.
constexpr std::array<std::string_view, 3> refusals = {"421", "451", "410"};

/// Words of a line without its tags and source: the command first.
std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> words;
  while (!line.empty()) {
    if (line.front() == ':' && !words.empty()) {
      words.push_back(line.substr(1));
      break;
    }
    const auto end = std::min(line.find(' '), line.size());
    const auto word = line.substr(0, end);
    line.remove_prefix(end);
    line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
    const bool prefix = words.empty() && !word.empty() && (word.front() == '@' || word.front() == ':');
    if (!prefix && !word.empty()) words.push_back(word);
  }
  return words;
}

bool has_word(std::string_view list, std::string_view word) {
  for (const auto each : words_of(list)) {
    if (each == word) return true;
  }
  return false;
}

template <std::size_t Count>
bool is_one_of(const std::array<std::string_view, Count>& all, std::string_view word) {
  return std::ranges::find(all, word) != all.end();
}

/// A PLAIN response in the pieces that SASL on IRC is made of.
std::string authenticate(const IrcLogin::Credentials& credentials) {
  std::string secret{'\0'};
  secret += credentials.user;
  secret += '\0';
  secret += credentials.user_password;
  const auto token = sys::to_base64(secret);
  std::string lines;
  for (std::size_t begin = 0; begin < token.size(); begin += piece_bytes) {
    lines += fmt::format("AUTHENTICATE {}\r\n", token.substr(begin, piece_bytes));
  }
  // A last piece that is full says that there is more.
  if (token.size() % piece_bytes == 0) lines += "AUTHENTICATE +\r\n";
  return lines;
}

}  // namespace

IrcLogin::IrcLogin(Credentials credentials) : credentials_{std::move(credentials)} {}

std::string IrcLogin::begin() {
  std::string lines;
  if (!credentials_.password.empty()) lines += fmt::format("PASS :{}\r\n", credentials_.password);
  if (credentials_.user.empty()) {
    done_ = true;
  } else {
    lines += "CAP REQ :sasl\r\n";
  }
  return lines;
}

IrcLogin::Step IrcLogin::feed(std::string_view bytes) {
  Step step;
  unread_ += bytes;
  while (!done_ && !failure_) {
    const auto end = unread_.find('\n');
    if (end == std::string::npos) {
      if (unread_.size() > longest_line) failure_ = "the server does not speak IRC";
      break;
    }
    auto line = unread_.substr(0, end);
    unread_.erase(0, end + 1);
    if (line.ends_with('\r')) line.pop_back();
    on_line(line, step);
  }
  if (done_) step.to_agent += std::exchange(unread_, {});
  return step;
}

void IrcLogin::on_line(std::string_view line, Step& step) {
  const auto words = words_of(line);
  if (words.empty()) return;
  const auto command = words.front();
  const auto word = [&](std::size_t index) { return index < words.size() ? words[index] : std::string_view{}; };
  if (command == "PING") {
    step.to_server += fmt::format("PONG :{}\r\n", word(1));
  } else if (command == "CAP") {
    if (!has_word(words.back(), "sasl")) return;
    if (word(2) == "NAK") failure_ = "it offers no login by SASL";
    if (word(2) == "ACK" && !std::exchange(asked_, true)) step.to_server += "AUTHENTICATE PLAIN\r\n";
  } else if (command == "AUTHENTICATE") {
    // Once: a server that asks without a grant, or again and again, is not told.
    if (word(1) == "+" && asked_ && !std::exchange(told_, true)) step.to_server += authenticate(credentials_);
  } else if (command == succeeded) {
    if (!told_) return;
    step.to_server += "CAP END\r\n";
    done_ = true;
  } else if (is_one_of(login_failures, command)) {
    failure_ = fmt::format("it does not take the account '{}' ({})", credentials_.user, command);
  } else if (is_one_of(refusals, command)) {
    failure_ = "it offers no login by SASL";
  } else if (command != logged_in && command != mechanisms) {
    step.to_agent += line;
    step.to_agent += "\r\n";
  }
}

IrcLogin::Credentials credentials_of(const state::IrcUpstream& upstream, const state::SecretStore::Secrets& secrets) {
  const auto server = fmt::format("IRC server '{}'", upstream.name);
  IrcLogin::Credentials credentials;
  if (!upstream.password_secret.empty()) {
    credentials.password = require_secret(secrets, upstream.password_secret, server);
  }
  if (upstream.sasl) {
    credentials.user = upstream.sasl->user;
    credentials.user_password = require_secret(secrets, upstream.sasl->password_secret, server);
  }
  return credentials;
}

std::string irc_error(std::string_view reason) { return fmt::format("ERROR :{}\r\n", reason); }

}  // namespace fireclaw::gateway
