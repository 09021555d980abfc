#include "gateway/llm/requests.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "base/text.hpp"
#include "fireclaw/error.hpp"
#include "json/json.hpp"

namespace fireclaw::gateway {
namespace {

struct Known {
  std::string_view method;
  std::string_view target;
  Route route;
};

/// What an error repeats of a request, and the longest name of a model.
constexpr std::size_t most_repeated = 256;

constexpr std::string_view post = "POST";
constexpr std::string_view get = "GET";

constexpr Known known[] = {
    {post, "/api/chat", {state::LlmApi::Ollama, true}},
    {post, "/v1/chat/completions", {state::LlmApi::OpenAi, true}},
    {get, "/api/tags", {state::LlmApi::Ollama, false}},
    {get, "/v1/models", {state::LlmApi::OpenAi, false}},
};

constexpr std::string_view model_member = "model";

bool is_model_in_any_case(std::string_view name) {
  return std::ranges::equal(name, model_member, [](char a, char b) { return to_lower(a) == b; });
}

/// As usual for OpenAI's protocol, the URL may name the version, and more: /v1, /v1beta/openai, /api/paas/v4.
bool names_version(std::string_view url) {
  for (auto at = url.find("/v"); at != std::string_view::npos; at = url.find("/v", at + 2)) {
    // The host begins behind a second slash.
    if (at > 0 && url[at - 1] != '/' && at + 2 < url.size() && url[at + 2] >= '0' && url[at + 2] <= '9') return true;
  }
  return false;
}

std::string path_of(const state::LlmUpstream& upstream, const Route& route) {
  if (route.api == state::LlmApi::Ollama) return route.chat ? "/api/chat" : "/api/tags";
  const std::string version = names_version(upstream.url) ? "" : "/v1";
  return version + (route.chat ? "/chat/completions" : "/models");
}

std::string_view error_type(int status) {
  if (status == 429) return "rate_limit_error";
  return status >= 500 ? "server_error" : "invalid_request_error";
}

}  // namespace

std::variant<Route, Refusal> route(std::string_view method, std::string_view target) {
  const auto path = std::ranges::find(known, target, &Known::target);
  if (path == std::end(known)) {
    return Refusal{403, "path",
                   "the gateway passes on /api/chat, /v1/chat/completions, /api/tags and /v1/models, and nothing else"};
  }
  if (path->method != method) {
    return Refusal{405, "method", fmt::format("the gateway passes on {} only with {}", path->target, path->method)};
  }
  return path->route;
}

std::variant<Question, Refusal> read_question(std::string_view body) {
  try {
    const auto picked = json::pick_strings(body, "request", is_model_in_any_case);
    if (picked.size() > picked.count(std::string{model_member})) {
      return Refusal{400, "body", "the request has a member that differs from \"model\" by case alone"};
    }
    if (picked.empty() || picked.begin()->second.empty()) {
      return Refusal{400, "body", "the request names no model"};
    }
    const auto& model = picked.begin()->second;
    if (model.size() > most_repeated) return Refusal{400, "body", "the name of the model is too long"};
    return Question{model};
  } catch (const Error& problem) {
    return Refusal{400, "body", fmt::format("the request cannot be read: {}", problem.what())};
  }
}

http::Transfers::Request make_request(const state::LlmUpstream& upstream, const Route& route, std::string body,
                                      const state::SecretStore::Secrets& secrets) {
  http::Transfers::Request request;
  // The base of Ollama's own protocol is above "/v1".
  auto base = upstream.url;
  if (route.api == state::LlmApi::Ollama && base.ends_with("/v1")) base.resize(base.size() - 3);
  request.url = base + path_of(upstream, route);
  request.ca_file = upstream.ca_file;
  request.idle_limit = std::chrono::seconds{upstream.idle_s};
  request.headers = {"User-Agent: fireclaw-gateway"};
  if (!upstream.key.empty()) {
    request.headers.push_back("Authorization: Bearer " +
                              require_secret(secrets, upstream.key, fmt::format("LLM server '{}'", upstream.name)));
  }
  if (route.chat) {
    request.headers.emplace_back("Content-Type: application/json");
    request.body = std::move(body);
  }
  return request;
}

const std::string& require_secret(const state::SecretStore::Secrets& secrets, const std::string& name,
                                  std::string_view server) {
  const auto secret = secrets.find(name);
  if (secret != secrets.end()) return secret->second;
  throw Error{ErrorCode::NotFound,
              fmt::format("no secret '{0}', which {1} needs; run: fireclaw secret set {0}", name, server)};
}

std::string describe(http::Failure failure, std::string_view server) {
  switch (failure) {
    case http::Failure::Unreachable: return fmt::format("the gateway cannot reach the {}", server);
    case http::Failure::Untrusted: return fmt::format("the gateway does not trust the certificate of the {}", server);
    case http::Failure::TimedOut: return fmt::format("the {} does not answer the gateway", server);
    case http::Failure::BrokenOff: break;
  }
  return fmt::format("the {} broke off its answer", server);
}

Refusal no_upstream(std::string_view agent, std::string_view model) {
  const auto what = model.empty() ? std::string{"this protocol"} : fmt::format("model '{}'", model);
  return {404, "model",
          fmt::format("no LLM server serves {} to '{}': model not found; see gateway.llm.upstreams in config.json",
                      what, agent)};
}

Refusal failed(const state::LlmUpstream& upstream, http::Transfers::Failure failure) {
  const auto reason = describe(failure, fmt::format("LLM server '{}'", upstream.name));
  switch (failure) {
    case http::Failure::Unreachable: return {502, "unreachable", reason};
    case http::Failure::Untrusted: return {502, "untrusted", reason};
    case http::Failure::TimedOut: return {504, "timeout", reason};
    case http::Failure::BrokenOff: break;
  }
  return {502, "broken_off", reason};
}

std::optional<Refusal> unfit_answer(const state::LlmUpstream& upstream, int status) {
  // What it says of the key can have parts of it.
  if (status == 401 || status == 403) {
    return Refusal{
        502, "key",
        fmt::format("the LLM server '{}' does not accept the gateway's key (status {})", upstream.name, status)};
  }
  if (status >= 300 && status < 400) {
    return Refusal{502, "redirect",
                   fmt::format("the LLM server '{}' sends the gateway elsewhere (status {})", upstream.name, status)};
  }
  return std::nullopt;
}

std::string error_body(state::LlmApi api, const Refusal& refusal) {
  json::Writer out;
  out.begin_object();
  if (api == state::LlmApi::Ollama) {
    out.field("error", refusal.reason);
  } else {
    out.key("error").begin_object();
    out.field("message", refusal.reason);
    out.field("type", error_type(refusal.status));
    out.field("code", refusal.rule);
    out.end_object();
  }
  out.end_object();
  return out.take();
}

std::string error_event(std::string_view content_type, const Refusal& refusal) {
  // Both begin with a line end: the last event may have been cut off in the middle.
  if (content_type.starts_with("text/event-stream")) {
    return fmt::format("\n\ndata: {}\n\n", error_body(state::LlmApi::OpenAi, refusal));
  }
  if (content_type.starts_with("application/x-ndjson")) {
    return fmt::format("\n{}\n", error_body(state::LlmApi::Ollama, refusal));
  }
  return {};
}

}  // namespace fireclaw::gateway
