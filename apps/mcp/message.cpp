#include "message.hpp"

#include <algorithm>
#include <utility>

#include "common/text/text.hpp"
#include "fireclaw/error.hpp"

namespace fireclaw::mcp {
namespace {

/// An error quotes what it is about. It must not be a way to have much sent back.
constexpr std::size_t longest_problem = 2000;

/// The member, or null if there is none.
Json take(Json& object, const char* name) {
  const auto found = object.find(name);
  return found == object.end() ? Json{} : std::move(*found);
}

/// Leaves out the members of objects that are null, at every depth: some languages write optional members so.
void drop_nulls(Json& value) {
  if (!value.is_structured()) return;
  for (auto& member : value) drop_nulls(member);
  if (!value.is_object()) return;
  auto& members = value.get_ref<Json::object_t&>();
  if (std::ranges::none_of(members, [](const auto& member) { return member.second.is_null(); })) return;
  Json::object_t kept;
  for (auto& member : members) {
    // Not emplace(), which looks through all that is there.
    if (!member.second.is_null()) kept.push_back(std::move(member));
  }
  value = Json(std::move(kept));
}

Message read_message(Json value) {
  if (!value.is_object()) return Malformed{nullptr, RpcError::InvalidRequest, "a message is an object"};
  auto id = take(value, "id");
  const auto method = take(value, "method");
  auto params = take(value, "params");
  drop_nulls(params);
  const bool notifies = id.is_null() && method.is_string();
  // An "id" of null with anything else was most likely meant as a request's, which would wait for ever.
  constexpr std::string_view notifications = "notifications/";
  if (notifies && (!value.contains("id") || method.get_ref<const std::string&>().starts_with(notifications))) {
    return Notification{method.get<std::string>(), params.is_object() ? std::move(params) : Json::object()};
  }
  const auto malformed = [&](const char* problem) {
    return Malformed{is_id(id) ? id : Json{}, RpcError::InvalidRequest, problem};
  };
  if (take(value, "jsonrpc") != "2.0") return malformed("\"jsonrpc\" must be \"2.0\"");
  if (method.is_null()) {
    if (value.contains("result") || value.contains("error")) return Response{};
    return malformed("a request has a \"method\"");
  }
  if (!method.is_string()) return malformed("\"method\" must be a text");
  if (!is_id(id)) return malformed("\"id\" must be a whole number or a text of at most 256 bytes");
  if (params.is_null()) params = Json::object();
  if (!params.is_object()) return Malformed{std::move(id), RpcError::InvalidParams, "\"params\" must be an object"};
  return Request{std::move(id), method.get<std::string>(), std::move(params)};
}

}  // namespace

Message read_line(std::string_view line) {
  // Looked at, but not read: what it holds would take many times the memory that it takes itself.
  if (line.substr(0, line.find_first_not_of(" \t\r") + 1).ends_with('[')) {
    if (!Json::accept(line)) return Malformed{nullptr, RpcError::Parse, "no JSON"};
    return Malformed{nullptr, RpcError::InvalidRequest, "a line holds one message, not a list of them"};
  }
  try {
    auto message = read_message(parse_json(line));
    if (auto* request = std::get_if<Request>(&message)) request->bytes = line.size();
    return message;
  } catch (const Error& problem) {
    return Malformed{nullptr, RpcError::Parse, problem.what()};
  }
}

bool is_id(const Json& value) {
  if (value.is_string()) return value.get_ref<const std::string&>().size() <= longest_id;
  return is_whole(value);
}

Json result_message(const Json& id, Json result) {
  return {{"jsonrpc", "2.0"}, {"id", id}, {"result", std::move(result)}};
}

Json error_message(const Json& id, const ProtocolError& error) {
  Json what{{"code", static_cast<int>(error.code)}, {"message", cli::shorten(error.what(), longest_problem)}};
  if (!error.data.is_null()) what["data"] = error.data;
  return {{"jsonrpc", "2.0"}, {"id", id}, {"error", std::move(what)}};
}

Json notification_message(std::string_view method, Json params) {
  return {{"jsonrpc", "2.0"}, {"method", std::string{method}}, {"params", std::move(params)}};
}

}  // namespace fireclaw::mcp
