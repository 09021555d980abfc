#include "message.hpp"

#include <utility>

#include "fireclaw/error.hpp"

namespace fireclaw::mcp {
namespace {

Message read_message(Json value) {
  if (!value.is_object()) return Malformed{nullptr, RpcError::InvalidRequest, "a message is an object"};
  const auto id = value.find("id");
  const bool has_id = id != value.end();
  const auto malformed = [&](const char* problem) {
    return Malformed{has_id && is_id(*id) ? *id : Json{}, RpcError::InvalidRequest, problem};
  };
  const auto version = value.find("jsonrpc");
  if (version == value.end() || *version != "2.0") return malformed("\"jsonrpc\" must be \"2.0\"");
  const auto method = value.find("method");
  if (method == value.end()) {
    if (value.contains("result") || value.contains("error")) return Response{};
    return malformed("a request has a \"method\"");
  }
  if (!method->is_string()) return malformed("\"method\" must be a text");
  if (has_id && !is_id(*id)) return malformed("\"id\" must be a text or a whole number");
  auto params = value.find("params");
  if (params != value.end() && !params->is_object()) {
    return Malformed{has_id ? *id : Json{}, RpcError::InvalidParams, "\"params\" must be an object"};
  }
  auto arguments = params == value.end() ? Json::object() : std::move(*params);
  auto name = method->get<std::string>();
  if (!has_id) return Notification{std::move(name), std::move(arguments)};
  return Request{std::move(*id), std::move(name), std::move(arguments)};
}

}  // namespace

Incoming read_line(std::string_view line) {
  Incoming incoming;
  Json value;
  try {
    value = parse_json(line);
  } catch (const Error& problem) {
    incoming.messages.emplace_back(Malformed{nullptr, RpcError::Parse, problem.what()});
    return incoming;
  }
  incoming.batch = value.is_array();
  if (!incoming.batch) {
    incoming.messages.push_back(read_message(std::move(value)));
    return incoming;
  }
  for (auto& item : value) incoming.messages.push_back(read_message(std::move(item)));
  return incoming;
}

bool is_id(const Json& value) { return value.is_string() || value.is_number_integer(); }

Json result_message(const Json& id, Json result) {
  return {{"jsonrpc", "2.0"}, {"id", id}, {"result", std::move(result)}};
}

Json error_message(const Json& id, const ProtocolError& error) {
  Json what{{"code", static_cast<int>(error.code)}, {"message", error.what()}};
  if (!error.data.is_null()) what["data"] = error.data;
  return {{"jsonrpc", "2.0"}, {"id", id}, {"error", std::move(what)}};
}

Json notification_message(std::string_view method, Json params) {
  return {{"jsonrpc", "2.0"}, {"method", std::string{method}}, {"params", std::move(params)}};
}

}  // namespace fireclaw::mcp
