// What an IRC server says while the gateway logs an agent in: it costs the same wherever it is cut, the agent never
// sees a secret, and the server sees one only after it was asked for it.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "fuzz/require.hpp"
#include "gateway/irc/login.hpp"

namespace {

using fireclaw::fuzz::require;
using fireclaw::gateway::IrcLogin;

struct Talk {
  IrcLogin login{{"server secret", "account", "account secret"}};
  std::string to_server = login.begin();
  std::string to_agent;

  void feed(std::string_view bytes) {
    const auto step = login.feed(bytes);
    to_server += step.to_server;
    to_agent += step.to_agent;
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view said{reinterpret_cast<const char*>(data), size};
  Talk whole;
  whole.feed(said);
  Talk pieces;
  for (std::size_t at = 0; at < said.size(); at += at % 5 + 1)
    pieces.feed(said.substr(at, std::min(at % 5 + 1, said.size() - at)));
  require(whole.to_server == pieces.to_server, "the server hears the same wherever its words are cut");
  require(whole.login.done() == pieces.login.done(), "a login is over wherever the words are cut");
  require(!whole.login.done() || whole.to_agent == pieces.to_agent, "the agent hears the same wherever words are cut");
  require(!(whole.login.done() && whole.login.failure()), "a login that failed is not over");
  require(whole.to_server.find("\r\nAUTHENTICATE") == std::string::npos || said.find("CAP") != std::string_view::npos,
          "a login begins once it is granted");
  return 0;
}
