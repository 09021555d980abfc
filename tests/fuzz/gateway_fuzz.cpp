// What a machine sends the gateway, and what an LLM server answers: nothing but four requests is passed on, a question
// has one model for every reader, and an answer costs the same wherever it is cut. The first line is method and target,
// the rest is a body.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "fireclaw/error.hpp"
#include "fuzz/require.hpp"
#include "gateway/llm/requests.hpp"
#include "gateway/llm/tokens.hpp"
#include "gateway/proxy/rules.hpp"
#include "gateway/proxy/tls_hello.hpp"
#include "json/json.hpp"

namespace {

using namespace fireclaw;
using fuzz::require;

void check_route(std::string_view method, std::string_view target) {
  const auto way = gateway::route(method, target);
  const bool chat = method == "POST" && (target == "/api/chat" || target == "/v1/chat/completions");
  const bool list = method == "GET" && (target == "/api/tags" || target == "/v1/models");
  require(std::holds_alternative<gateway::Route>(way) == (chat || list), "four requests are passed on");
  if (const auto* passed = std::get_if<gateway::Route>(&way)) require(passed->chat == chat, "a chat is a chat");
}

void check_question(std::string_view body) {
  const auto question = gateway::read_question(body);
  if (const auto* asked = std::get_if<gateway::Question>(&question)) {
    require(!asked->model.empty(), "a model has a name");
    try {
      const auto value = json::Value::parse(body, "body");
      require(value.at("model").as_string() == asked->model, "the model is the body's");
    } catch (const Error&) {
      // What the other members hold is the LLM server's to read.
    }
    return;
  }
  for (const auto api : {state::LlmApi::Ollama, state::LlmApi::OpenAi}) {
    const auto error = json::Value::parse(gateway::error_body(api, std::get<gateway::Refusal>(question)), "error");
    require(error.at("error").is_string() == (api == state::LlmApi::Ollama), "a refusal is an error of the protocol");
  }
}

void check_tokens(std::string_view type, std::string_view answer) {
  gateway::TokenReader whole{type, 100};
  whole.feed(answer);
  gateway::TokenReader pieces{type, 100};
  for (std::size_t at = 0; at < answer.size(); at += at % 5 + 1) pieces.feed(answer.substr(at, at % 5 + 1));
  require(whole.finish() == pieces.finish(), "an answer costs the same wherever it is cut");
}

/// What a hello asks for does not depend on where it is cut.
void check_hello(std::string_view bytes) {
  using gateway::TlsHello;
  const auto whole = gateway::read_tls_hello(bytes);
  if (whole.state == TlsHello::State::Unfit) return;
  for (std::size_t size = 0; size < bytes.size(); size += size % 7 + 1) {
    const auto part = gateway::read_tls_hello(bytes.substr(0, size));
    require(part.state == TlsHello::State::Partial || part == whole, "a hello means the same wherever it is cut");
  }
}

void check_http(std::string_view method, std::string_view target) {
  const auto read = gateway::read_http_request(method, target, {});
  if (const auto* request = std::get_if<gateway::HttpRequest>(&read)) {
    const auto& name = request->target.name;
    require(request->target.port != 0 && gateway::read_authority(name, 1) == gateway::HttpTarget{name, 1},
            "a target is a name and a port");
    require(request->tunnel ? request->path.empty() : request->path.starts_with('/'), "a request has a path");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  const auto end = text.find('\n');
  const auto line = text.substr(0, end);
  const auto body = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
  const auto space = line.find(' ');
  check_route(line.substr(0, space), space == std::string_view::npos ? std::string_view{} : line.substr(space + 1));
  check_question(body);
  check_http(line.substr(0, space), space == std::string_view::npos ? std::string_view{} : line.substr(space + 1));
  check_hello(text);
  for (const std::string_view type : {"application/json", "text/event-stream", "application/x-ndjson"}) {
    check_tokens(type, body);
  }
  return 0;
}
