#pragma once

#include <stdexcept>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

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
  /// An object.
  Json params;
};

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

/// What a line holds.
struct Incoming {
  /// It is an array of messages, not one.
  bool batch = false;
  std::vector<Message> messages;
};

/// Never throws for what a client may have sent.
Incoming read_line(std::string_view line);

/// Whether it can be a request's id, or a token for its progress.
bool is_id(const Json& value);

Json result_message(const Json& id, Json result);
Json error_message(const Json& id, const ProtocolError& error);
Json notification_message(std::string_view method, Json params);

}  // namespace fireclaw::mcp
