// Whatever a server sends, in whatever pieces: what is read can be built and reads the same, and the session never says
// more than one message a line, nor longer than the server takes.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "fireclaw/error.hpp"
#include "fuzz/require.hpp"
#include "overseer/irc/message.hpp"
#include "overseer/irc/session.hpp"
#include "overseer/irc/text.hpp"

namespace {

using fireclaw::fuzz::require;
using namespace fireclaw::overseer;

void check_line(std::string_view line) {
  const auto message = parse_irc(line);
  if (!message) return;
  require(!message->command.empty(), "a message has a command");
  for (const auto& param : message->params) {
    require(param.find_first_of(std::string_view{"\r\n\0", 3}) == std::string::npos, "a parameter is on one line");
  }
  try {
    const auto built = build_irc(message->command, message->params);
    const auto again = parse_irc(std::string_view{built}.substr(0, built.size() - 2));
    require(again.has_value(), "what was built can be read");
    require(again->command == message->command && again->params == message->params, "it says the same");
  } catch (const fireclaw::Error& error) {
    require(false, "what was read can be built");
  }
}

void check_sent(std::string_view bytes, std::size_t longest) {
  while (!bytes.empty()) {
    const auto end = bytes.find("\r\n");
    require(end != std::string_view::npos, "a line has an end");
    require(end + 2 <= longest, "a line is no longer than the server takes");
    require(parse_irc(bytes.substr(0, end)).has_value(), "a line is one message");
    bytes.remove_prefix(end + 2);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input{reinterpret_cast<const char*>(data), size};
  IrcLineBuffer buffer;
  for (const auto& line : buffer.feed(input)) check_line(line);
  require(clean_line(clean_line(input)) == clean_line(input), "a clean line stays as it is");

  // The first byte decides how the stream is cut and who we are.
  const std::size_t piece = size == 0 ? 1 : 1 + data[0] % 64;
  IrcIdentity identity;
  if (size != 0 && data[0] % 2 == 1) identity.sasl_user = identity.sasl_password = "u";
  TimePoint now{};
  Pacer pacer{5, Seconds{1}, now};
  IrcSession session{identity, IrcTimes{}, pacer, 1, now, WallTime{}};
  for (std::size_t at = 0; at < size; at += piece) {
    now += std::chrono::seconds{1};
    for (const auto& event : session.feed(input.substr(at, piece), now)) {
      if (const auto* text = std::get_if<IrcText>(&event)) {
        require(!text->text.empty() && clean_line(text->text) == text->text, "text is clean");
        require(text->source.find('!') != std::string::npos, "text comes from somebody");
        static_cast<void>(session.say(text->source.substr(0, text->source.find('!')), text->text));
      }
    }
    session.tick(now);
    check_sent(session.transmit(now), 16384);
  }
  return 0;
}
