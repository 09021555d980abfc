#pragma once

#include <cstddef>
#include <stdexcept>
#include <string>
#include <string_view>
#include <variant>

#include "json.hpp"

namespace fireclaw::mcp {

/// JSON-RPC's numbers for errors, and the one that the protocol adds.
enum class RpcError {
  Parse = -32700,
  InvalidRequest = -32600,
  MethodNotFound = -32601,
  InvalidParams = -32602,
  Internal = -32603,
  UnsupportedVersion = -32022,
};

/// An answer that is an error of the protocol's.
class ProtocolError : public std::runtime_error {
 public:
  ProtocolError(RpcError code, const std::string& message, Json data = nullptr)
      : std::runtime_error{message}, code{code}, data(std::move(data)) {}

  RpcError code;
  /// Null: there is none.
  Json data;
};

struct Request {
  /// A text or a whole number.
  Json id;
  std::string method;
  /// An object, in which no member is null: null is as if left out.
  Json params;
  /// Length of the line it came on.
  std::size_t bytes = 0;
};

/// Is never answered, whatever is wrong with it. What is not an object counts as no parameters.
struct Notification {
  std::string method;
  Json params;
};

/// An answer of the client's; as it is asked nothing, there is nothing to do about it.
struct Response {};

/// What is none of these.
struct Malformed {
  /// As far as it has one that can be answered to; else null.
  Json id;
  RpcError code = RpcError::InvalidRequest;
  std::string problem;
};

using Message = std::variant<Request, Notification, Response, Malformed>;

/// Reads a line. Never throws for what a client can send. A list of messages, which only version 2025-03-26 knows, is
/// malformed: one line can hold millions.
Message read_line(std::string_view line);

/// Whether it can be a request's id, or a token for its progress: a whole number or a text of at most longest_id bytes.
bool is_id(const Json& value);
/// It is sent back with each answer.
inline constexpr std::size_t longest_id = 256;

Json result_message(const Json& id, Json result);
Json error_message(const Json& id, const ProtocolError& error);
Json notification_message(std::string_view method, Json params);

}  // namespace fireclaw::mcp
