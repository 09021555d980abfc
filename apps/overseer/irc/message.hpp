#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fireclaw::overseer {

/// One IRC message.
struct IrcMessage {
  /// In capitals, or three digits.
  std::string command;
  std::vector<std::string> params;
  /// "nick!user@host" or a server's name; empty if the line had none.
  std::string source;
  /// IRCv3 message tags, unescaped, in the order they came.
  std::vector<std::pair<std::string, std::string>> tags;

  bool operator==(const IrcMessage&) const = default;

  /// The parameter, or nothing if there are fewer.
  [[nodiscard]] std::string_view param(std::size_t index) const;
  /// The last parameter, or nothing.
  [[nodiscard]] std::string_view last() const;
  /// The sender's nick; a server's name if it comes from the server.
  [[nodiscard]] std::string_view nick() const;
  /// Empty if there is no such tag.
  [[nodiscard]] std::string_view tag(std::string_view name) const;
};

/// Reads a line without its end. None for what is not an IRC message.
std::optional<IrcMessage> parse_irc(std::string_view line);

/// A line ready to send, with its end. The last of `params` may hold spaces. Error(InvalidArgument) for anything that
/// would not arrive as the one message it was meant to be. Tags and source are a server's to send, so there are none.
std::string build_irc(std::string_view command, const std::vector<std::string>& params);

/// Splits a byte stream into lines. A line longer than any IRC line is dropped.
class IrcLineBuffer {
 public:
  /// Lines without their ends; empty ones are left out.
  std::vector<std::string> feed(std::string_view bytes);

 private:
  std::string rest_;
  bool skipping_ = false;
};

}  // namespace fireclaw::overseer
