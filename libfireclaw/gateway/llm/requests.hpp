#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "http/transfers.hpp"
#include "state/settings/gateway.hpp"
#include "state/settings/secrets.hpp"

namespace fireclaw::gateway {

// How the gateway handles an agent's request to an LLM: values in, values out.

/// Why a request is not passed on.
struct Refusal {
  /// HTTP's status.
  int status = 403;
  /// One word for logs and metrics: "path", "model", "tokens_per_day" ...
  std::string rule;
  /// For the agent, one line.
  std::string reason;
  std::optional<std::chrono::seconds> retry_after = std::nullopt;

  bool operator==(const Refusal&) const = default;
};

/// One of the requests that are passed on.
struct Route {
  state::LlmApi api = state::LlmApi::Ollama;
  /// A question to a model; else the list of models.
  bool chat = false;

  bool operator==(const Route&) const = default;
};

/// By method and request target, compared byte by byte: what is written in another way is refused.
std::variant<Route, Refusal> route(std::string_view method, std::string_view target);

/// The parts of a question that the gateway reads.
struct Question {
  std::string model;

  bool operator==(const Question&) const = default;
};
/// Refuses what servers could read in two ways: a body that is not one JSON object, and members that differ from
/// "model" only by case. Looks only at the object's own members, so its cost depends only on the body's length.
std::variant<Question, Refusal> read_question(std::string_view body);

/// The request as `upstream` gets it: only path and body are the agent's. Error(NotFound) if its secret is
/// missing.
http::Transfers::Request make_request(const state::LlmUpstream& upstream, const Route& route, std::string body,
                                      const state::SecretStore::Secrets& secrets);

/// A secret that `server` needs. Error(NotFound) if it is not there.
const std::string& require_secret(const state::SecretStore::Secrets& secrets, const std::string& name,
                                  std::string_view server);

/// Describes it for an agent: "the gateway cannot reach the LLM server 'a'".
std::string describe(http::Failure failure, std::string_view server);

/// The refusal if no upstream serves the model.
Refusal no_upstream(std::string_view agent, std::string_view model);
/// The refusal if an upstream could not be asked, or its answer cannot be passed on.
Refusal failed(const state::LlmUpstream& upstream, http::Transfers::Failure failure);
/// The refusal if it answered with a redirection or rejected the gateway's key; nullopt: pass the answer on.
std::optional<Refusal> unfit_answer(const state::LlmUpstream& upstream, int status);

/// A JSON object that clients of the protocol understand.
std::string error_body(state::LlmApi api, const Refusal& refusal);
/// The same within an answer that has begun, as its last event; empty if the answer is not made of events.
std::string error_event(std::string_view content_type, const Refusal& refusal);

}  // namespace fireclaw::gateway
