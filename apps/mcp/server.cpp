#include "server.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "common/text/text.hpp"
#include "fireclaw/error.hpp"
#include "fireclaw/version.hpp"
#include "progress.hpp"
#include "schema.hpp"
#include "schema_check.hpp"

namespace fireclaw::mcp {
namespace {

constexpr const char* version_key = "io.modelcontextprotocol/protocolVersion";
constexpr const char* capabilities_key = "io.modelcontextprotocol/clientCapabilities";
constexpr const char* server_info_key = "io.modelcontextprotocol/serverInfo";

/// As syslog has them, the least first.
constexpr std::array<std::string_view, 8> levels{"debug", "info",     "notice", "warning",
                                                 "error", "critical", "alert",  "emergency"};

/// A failure's text is for a model to read.
constexpr std::size_t longest_failure = 8000;

/// What never changes while a server runs may be kept by clients for an hour.
constexpr int lasting_ms = 3'600'000;

constexpr const char* instructions =
    "Runs commands in virtual machines on the user's computer. For one command, call run_command without a machine: "
    "it gets a fresh one that is gone afterwards. For work in several steps, call create_machine first and name the "
    "machine in each call. Before you try something that may go wrong, call fork_machine or save_snapshot.";

Json server_info() { return {{"name", "fireclaw"}, {"title", "fireclaw"}, {"version", FIRECLAW_VERSION_STRING}}; }

Json describe(const Tool& tool, const Version& version) {
  Json json{{"name", tool.name}};
  if (version.structured) json["title"] = tool.title;
  json["description"] = tool.description;
  json["inputSchema"] = as_shown(tool.input);
  if (version.structured) json["outputSchema"] = as_shown(tool.output);
  if (version.annotations) {
    json["annotations"] = {{"title", tool.title},
                           {"readOnlyHint", tool.annotations.read_only},
                           {"destructiveHint", tool.annotations.destructive},
                           {"idempotentHint", tool.annotations.idempotent},
                           {"openWorldHint", tool.annotations.open_world}};
  }
  return json;
}

Json tool_result(const Json& structured, const Version& version) {
  Json result{{"content", Json::array({{{"type", "text"}, {"text", to_line(structured)}}})}};
  if (version.structured) result["structuredContent"] = structured;
  result["isError"] = false;
  return result;
}

Json tool_failure(const std::string& text) {
  return {{"content", Json::array({{{"type", "text"}, {"text", cli::shorten(text, longest_failure)}}})},
          {"isError", true}};
}

/// Results of versions without a handshake say what they are, and whose.
Json finished(Json result, const Version& version) {
  if (!version.stateless) return result;
  result["resultType"] = "complete";
  result["_meta"][server_info_key] = server_info();
  return result;
}

std::vector<std::string> version_names() {
  std::vector<std::string> names;
  for (const auto& version : versions()) names.emplace_back(version.name);
  return names;
}

const Json& member(const Json& object, const char* name) {
  static const Json none;
  const auto found = object.find(name);
  return found == object.end() ? none : *found;
}

ProtocolError invalid_params(const std::string& text) { return {RpcError::InvalidParams, text}; }

std::string text_member(const Json& params, const char* name) {
  const auto& value = member(params, name);
  if (!value.is_string()) throw invalid_params(fmt::format("'{}' must be a text", name));
  return value.get<std::string>();
}

/// Null if the client wants no progress.
Json progress_token(const Json& params) {
  const auto& meta = member(params, "_meta");
  const auto& token = meta.is_object() ? member(meta, "progressToken") : meta;
  if (!token.is_null() && !is_id(token)) throw invalid_params("'progressToken' must be a text or a whole number");
  return token;
}

}  // namespace

/// A call of a tool that waits or runs.
struct Server::Call {
  Json id;
  const Version& version;
  const Tool& tool;
  Json arguments;
  std::size_t bytes = 0;
  /// Null if the client wants no progress.
  std::shared_ptr<ProgressReporter> progress{};
  std::stop_source stop{};
};

Server::Server(const Toolbox& tools, const Policy& policy, Send send)
    : tools_{tools},
      policy_{policy},
      send_{std::move(send)},
      wanted_level_{static_cast<int>(levels.size())},
      pool_{policy.calls} {}

Server::~Server() { cancel_all(); }

void Server::send(const Json& message) {
  if (!ended_) send_(message);
}

void Server::handle(std::string_view line) {
  auto message = read_line(line);
  if (auto* request = std::get_if<Request>(&message)) return answer(std::move(*request));
  if (const auto* notification = std::get_if<Notification>(&message)) return take_note(*notification);
  if (const auto* malformed = std::get_if<Malformed>(&message)) return send(answer_to(*malformed));
}

void Server::handle_too_long() {
  send(answer_to({nullptr, RpcError::InvalidRequest, "the message is longer than this server reads"}));
}

Json Server::answer_to(const Malformed& malformed) const {
  auto answer = error_message(malformed.id, ProtocolError{malformed.code, malformed.problem});
  const bool omit = malformed.id.is_null() && version_ != nullptr && version_->errors_may_lack_id;
  if (omit) answer.erase("id");
  return answer;
}

void Server::answer(Request request) {
  const auto id = request.id;
  try {
    const auto& version = version_of(request);
    if (request.method == "tools/call") return call_tool(std::move(request), version);
    send(result_message(id, finished(result_of(request, version), version)));
  } catch (const ProtocolError& problem) {
    send(error_message(id, problem));
  }
}

const Version& Server::version_of(const Request& request) const {
  const auto& meta = member(request.params, "_meta");
  if (!meta.is_null() && !meta.is_object()) throw invalid_params("'_meta' must be an object");
  if (meta.contains(version_key)) {
    const auto name = text_member(meta, version_key);
    const auto* version = find_version(name);
    if (version == nullptr || !version->stateless) {
      throw ProtocolError{RpcError::UnsupportedVersion,
                          fmt::format("version '{}' is not supported in a request", name),
                          {{"supported", version_names()}, {"requested", name}}};
    }
    if (!member(meta, capabilities_key).is_object()) {
      throw invalid_params(fmt::format("'_meta' must have '{}'", capabilities_key));
    }
    return *version;
  }
  if (version_ != nullptr) return *version_;
  if (request.method == "initialize" || request.method == "ping") return newest_with_handshake();
  throw invalid_params(fmt::format("begin with 'initialize', or say in '_meta' which '{}' this is", version_key));
}

Json Server::result_of(const Request& request, const Version& version) {
  const auto& method = request.method;
  if (method == "tools/list") return list_tools(request.params, version);
  if (version.stateless && method == "server/discover") {
    return {{"supportedVersions", version_names()},
            {"capabilities", {{"tools", Json::object()}}},
            {"instructions", instructions},
            {"ttlMs", lasting_ms},
            {"cacheScope", "private"}};
  }
  if (!version.stateless && method == "initialize") return initialize(request.params);
  if (!version.stateless && method == "ping") return Json::object();
  if (!version.stateless && method == "logging/setLevel") return set_level(request.params);
  throw ProtocolError{RpcError::MethodNotFound, fmt::format("there is no method '{}'", method)};
}

Json Server::initialize(const Json& params) {
  if (version_ != nullptr) throw ProtocolError{RpcError::InvalidRequest, "'initialize' was called already"};
  const auto asked = text_member(params, "protocolVersion");
  for (const auto* name : {"capabilities", "clientInfo"}) {
    if (!member(params, name).is_object()) throw invalid_params(fmt::format("'{}' must be an object", name));
  }
  const auto* version = find_version(asked);
  version_ = version == nullptr || version->stateless ? &newest_with_handshake() : version;
  return {{"protocolVersion", std::string{version_->name}},
          {"capabilities", {{"tools", Json::object()}, {"logging", Json::object()}}},
          {"serverInfo", server_info()},
          {"instructions", instructions}};
}

Json Server::list_tools(const Json& params, const Version& version) const {
  // Some clients begin with an empty one.
  if (const auto& cursor = member(params, "cursor"); !cursor.is_null() && cursor != "")
    throw invalid_params("all tools are on the first page: there is no 'cursor'");
  Json tools = Json::array();
  for (const auto& tool : tools_) tools.push_back(describe(tool, version));
  Json result{{"tools", std::move(tools)}};
  if (version.stateless) {
    result["ttlMs"] = lasting_ms;
    result["cacheScope"] = "private";
  }
  return result;
}

Json Server::set_level(const Json& params) {
  const auto name = text_member(params, "level");
  const auto* const found = std::ranges::find(levels, name);
  if (found == levels.end()) throw invalid_params(fmt::format("unknown level '{}'", name));
  wanted_level_ = static_cast<int>(found - levels.begin());
  return Json::object();
}

void Server::log(LogLevel level, std::string_view message) {
  const auto* const found = std::ranges::find(levels, to_string(level));
  if (found - levels.begin() < wanted_level_) return;
  send(notification_message(
      "notifications/message",
      {{"level", std::string{to_string(level)}}, {"logger", "fireclaw"}, {"data", std::string{message}}}));
}

void Server::take_note(const Notification& notification) {
  // All others need nothing done.
  if (notification.method == "notifications/cancelled") cancel(member(notification.params, "requestId"));
}

void Server::cancel(const Json& id) {
  std::shared_ptr<Call> call;
  {
    const std::scoped_lock lock{mutex_};
    const auto found = is_id(id) ? calls_.find(to_line(id)) : calls_.end();
    if (found == calls_.end()) return;
    call = found->second;
  }
  call->stop.request_stop();
}

void Server::cancel_all() {
  std::map<std::string, std::shared_ptr<Call>> calls;
  {
    const std::scoped_lock lock{mutex_};
    calls = calls_;
  }
  ended_ = true;
  for (const auto& [id, call] : calls) call->stop.request_stop();
}

void Server::call_tool(Request request, const Version& version) {
  const auto fail = [&](const std::string& text) {
    send(result_message(request.id, finished(tool_failure(text), version)));
  };
  const auto name = text_member(request.params, "name");
  const auto tool = std::ranges::find(tools_, name, &Tool::name);
  if (tool == tools_.end()) throw invalid_params(fmt::format("there is no tool '{}'; see tools/list", name));
  auto arguments = member(request.params, "arguments");
  if (arguments.is_null()) arguments = Json::object();
  if (!arguments.is_object()) throw invalid_params("'arguments' must be an object");
  const auto token = progress_token(request.params);
  try {
    check_against(tool->input, arguments);
  } catch (const Error& problem) {
    if (!version.arguments_are_for_the_model) throw invalid_params(problem.what());
    return fail(problem.what());
  }
  const auto call = std::make_shared<Call>(Call{
      .id = request.id, .version = version, .tool = *tool, .arguments = std::move(arguments), .bytes = request.bytes});
  if (!token.is_null()) {
    const auto unless_cancelled = [this, stop = call->stop.get_token()](const Json& message) {
      if (!stop.stop_requested()) send(message);
    };
    call->progress = std::make_shared<ProgressReporter>(unless_cancelled, token, version.annotations);
  }
  std::string too_much;
  {
    const std::scoped_lock lock{mutex_};
    if (calls_.contains(to_line(call->id))) {
      throw ProtocolError{RpcError::InvalidRequest, "a request with this id is not answered yet"};
    }
    if (calls_.size() >= policy_.calls + policy_.waiting_calls) {
      too_much = fmt::format("{} calls are under way; wait until one of them has ended", calls_.size());
    } else if (!calls_.empty() && calls_bytes_ + call->bytes > policy_.calls_bytes) {
      too_much = fmt::format("the {} calls that are under way hold {} MiB; wait until one of them has ended",
                             calls_.size(), calls_bytes_ >> 20);
    } else {
      calls_.emplace(to_line(call->id), call);
      calls_bytes_ += call->bytes;
    }
  }
  if (!too_much.empty()) return fail(too_much);
  if (call->progress && !progress_thread_.joinable()) {
    progress_thread_ = std::jthread{[this](const std::stop_token& stop) { keep_up(stop); }};
  }
  pool_.submit([this, call] { run(*call); });
}

void Server::keep_up(const std::stop_token& stop) {
  // Often enough that silence is never much longer than it may be.
  const auto interval = std::max(policy_.silence / 4, std::chrono::milliseconds{1});
  std::unique_lock lock{mutex_};
  for (;;) {
    changed_.wait_for(lock, stop, interval, [] { return false; });
    if (stop.stop_requested()) return;
    const auto calls = calls_;
    lock.unlock();
    for (const auto& [id, call] : calls) {
      if (call->progress) call->progress->keep_up(policy_.silence);
    }
    lock.lock();
  }
}

void Server::run(Call& call) {
  Json answer;
  if (!call.stop.stop_requested()) answer = result_message(call.id, finished(run_tool(call), call.version));
  if (call.progress) call.progress->end();
  {
    // Its id may be used again once the client has the answer.
    const std::scoped_lock lock{mutex_};
    calls_.erase(to_line(call.id));
    calls_bytes_ -= call.bytes;
  }
  if (!call.stop.stop_requested()) send(answer);
}

Json Server::run_tool(const Call& call) {
  CallContext context;
  context.stop = call.stop.get_token();
  if (call.progress) {
    context.on_output = [progress = call.progress](std::string_view output) { (*progress)(output); };
  }
  try {
    return tool_result(call.tool.run(call.arguments, context), call.version);
  } catch (const std::exception& problem) {
    if (!context.stop.stop_requested()) log(LogLevel::Warning, fmt::format("{}: {}", call.tool.name, problem.what()));
    return tool_failure(problem.what());
  }
}

}  // namespace fireclaw::mcp
