#pragma once

#include <cstddef>
#include <string_view>

namespace fireclaw::http {

/// The parts of an answer's head that tell how to read the rest.
struct AnswerHead {
  int status = 0;
  std::size_t body_bytes = 0;
  /// The server takes another request on this connection.
  bool stays_open = true;

  bool operator==(const AnswerHead&) const = default;
};

/// The longest head that is read, in bytes.
inline constexpr std::size_t longest_head = std::size_t{16} << 10;

/// Reads a head: status line and header lines, each with its "\r\n", without the empty line that ends it. Strict, since
/// an engine writes it that a guest may have taken over: a body's length is said once, in digits, or the status is one
/// without a body. Error(Io) for anything else.
AnswerHead parse_answer_head(std::string_view head);

}  // namespace fireclaw::http
