#include "gateway/llm/service.hpp"

#include <algorithm>
#include <optional>
#include <utility>
#include <variant>

#include <fmt/format.h>

#include "gateway/llm/tokens.hpp"

namespace fireclaw::gateway {
namespace {

/// Machines come and go; what was counted of those that are not an agent's is forgotten beyond this.
constexpr std::size_t most_counted = 4096;

std::string header(const std::map<std::string, std::string>& headers, const char* name) {
  const auto found = headers.find(name);
  return found == headers.end() ? std::string{} : found->second;
}

}  // namespace

/// A request from its admission to its last call.
class LlmService::Request final : public http::Transfers::Handler {
 public:
  Request(LlmService& owner, Id number, Client from, Route of, state::LlmUpstream to, std::string with, Answer& where)
      : service{owner},
        id{number},
        client{std::move(from)},
        route{of},
        upstream{std::move(to)},
        body{std::move(with)},
        answer{where},
        asked{owner.clock_.steady_now()} {}

  void on_head(int status, const std::map<std::string, std::string>& headers) override {
    unfit = unfit_answer(upstream, status);
    if (unfit) return;
    content_type = header(headers, "content-type");
    if (route.chat) tokens.emplace(content_type, prompt_bytes);
    failed_status = status >= 400;
    answer.on_head({status, content_type, header(headers, "retry-after")});
    head_sent = true;
  }

  bool on_body(std::string_view bytes) override {
    if (unfit) return true;
    if (!answer.on_body(bytes)) return false;
    if (!began && route.chat && !failed_status) {
      const auto took = std::chrono::duration_cast<std::chrono::microseconds>(service.clock_.steady_now() - asked);
      auto& counts = service.counts(client.name);
      ++counts.answers;
      counts.first_token_us += static_cast<std::uint64_t>(took.count());
      counts.longest_first_token_us = std::max(counts.longest_first_token_us, static_cast<std::uint64_t>(took.count()));
    }
    began = true;
    if (tokens) tokens->feed(bytes);
    return true;
  }

  void on_end(const http::Transfers::End& end) override {
    auto& counts = service.upstreams_[upstream.name].counts;
    const auto problem = unfit ? unfit : end.failure ? std::optional{failed(upstream, *end.failure)} : std::nullopt;
    count_tokens();
    if (problem || failed_status) {
      ++counts.errors;
      ++service.counts(client.name).agent.errors;
    }
    if (problem) {
      counts.last_error = problem->reason;
      service.logger_.warning(fmt::format("{} for '{}'{}", problem->reason, client.name,
                                          end.detail.empty() ? "" : fmt::format(" ({})", end.detail)));
    } else {
      counts.last_error.clear();
    }
    if (!problem) {
      answer.on_end(true, {});
    } else if (head_sent) {
      answer.on_end(false, error_event(content_type, *problem));
    } else {
      answer.on_head({problem->status, "application/json", {}});
      answer.on_end(true, error_body(route.api, *problem));
    }
    service.finish(*this);
  }

  void count_tokens() {
    if (!tokens || failed_status) return;
    const auto used = tokens->finish();
    tokens.reset();
    auto& counts = service.counts(client.name).agent;
    counts.prompt_tokens += used.prompt;
    counts.completion_tokens += used.completion;
    service.ledger_.spend(client.name, used.sum());
  }

  LlmService& service;
  Id id;
  Client client;
  Route route;
  state::LlmUpstream upstream;
  std::string body;
  std::size_t prompt_bytes = body.size();
  Answer& answer;
  std::chrono::steady_clock::time_point asked;
  /// Set while the LLM server has it.
  std::optional<http::Transfers::Id> transfer;
  std::string content_type;
  std::optional<Refusal> unfit;
  std::optional<TokenReader> tokens;
  bool failed_status = false;
  bool head_sent = false;
  bool began = false;
};

LlmService::LlmService(Sources& sources, Refusals& refusals, const Clock& clock, const Logger& logger)
    : sources_{sources}, refusals_{refusals}, clock_{clock}, logger_{logger}, ledger_{clock} {}

LlmService::~LlmService() {
  for (const auto& [id, request] : requests_) {
    if (request->transfer) transfers_.cancel(*request->transfer);
  }
}

AgentCounts& LlmService::counts(const std::string& agent) {
  auto& found = agents_[agent];
  found.agent.name = agent;
  if (agents_.size() > most_counted) {
    agents_.erase(agents_.begin()->first == agent ? std::next(agents_.begin()) : agents_.begin());
  }
  return found;
}

void LlmService::refuse(const Client& client, const Refusal& refusal) {
  ++counts(client.name).agent.refused;
  refusals_.add(client, {.by = RefusedBy::Llm, .rule = refusal.rule, .reason = refusal.reason});
}

void LlmService::answer_refusal(const Client& client, state::LlmApi api, const Refusal& refusal, Answer& answer) {
  refuse(client, refusal);
  const auto retry_after = refusal.retry_after ? std::to_string(refusal.retry_after->count()) : std::string{};
  answer.on_head({refusal.status, "application/json", retry_after});
  answer.on_end(true, error_body(api, refusal));
}

LlmService::Id LlmService::ask(const Client& client, const Route& route, std::string body, Answer& answer) {
  const auto& settings = sources_.llm();
  std::string model;
  if (route.chat) {
    auto question = read_question(body);
    if (const auto* refusal = std::get_if<Refusal>(&question)) {
      answer_refusal(client, route.api, *refusal, answer);
      return 0;
    }
    model = std::move(std::get<Question>(question).model);
  }
  const auto* upstream = state::find_upstream(settings, client.name, model, route.api);
  if (upstream == nullptr) {
    answer_refusal(client, route.api, no_upstream(client.name, model), answer);
    return 0;
  }
  const auto refusal = route.chat ? ledger_.admit(client.name, settings.limits_of(client.name)) : std::nullopt;
  if (route.chat) counts(client.name).agent.limit = refusal ? refusal->reason : std::string{};
  if (refusal) {
    answer_refusal(client, route.api, *refusal, answer);
    return 0;
  }
  const auto id = next_++;
  requests_.emplace(id, std::make_unique<Request>(*this, id, client, route, *upstream, std::move(body), answer));
  ++counts(client.name).agent.requests;
  auto& line = upstreams_[upstream->name];
  ++line.counts.requests;
  line.turns.enter(client.name, id);
  advance(upstream->name);
  return requests_.contains(id) ? id : 0;
}

void LlmService::advance(const std::string& upstream) {
  auto& line = upstreams_[upstream];
  const auto& all = sources_.llm().upstreams;
  const auto found = std::ranges::find(all, upstream, &state::LlmUpstream::name);
  // One that the settings do not name any more serves those that wait for it.
  const std::size_t places = found == all.end() ? state::LlmUpstream{}.concurrent : found->concurrent;
  while (const auto id = line.turns.next(places)) begin(*requests_.at(*id));
}

void LlmService::begin(Request& request) {
  try {
    request.transfer = transfers_.start(
        make_request(request.upstream, request.route, std::move(request.body), sources_.secrets()), request);
  } catch (const std::exception& problem) {
    logger_.error(problem.what());
    const Refusal refusal{
        502, "gateway",
        fmt::format("the gateway cannot ask the LLM server '{}'; its log says why", request.upstream.name)};
    auto& counted = upstreams_[request.upstream.name].counts;
    ++counted.errors;
    counted.last_error = problem.what();
    ++counts(request.client.name).agent.errors;
    request.answer.on_head({refusal.status, "application/json", {}});
    request.answer.on_end(true, error_body(request.route.api, refusal));
    const auto id = request.id;
    upstreams_[request.upstream.name].turns.leave();
    requests_.erase(id);
  }
}

void LlmService::finish(Request& request) {
  const auto upstream = request.upstream.name;
  upstreams_[upstream].turns.leave();
  requests_.erase(request.id);
  advance(upstream);
}

void LlmService::resume(Id id) {
  const auto found = requests_.find(id);
  if (found != requests_.end() && found->second->transfer) transfers_.resume(*found->second->transfer);
}

void LlmService::cancel(Id id) {
  const auto found = requests_.find(id);
  if (found == requests_.end()) return;
  auto& request = *found->second;
  if (!request.transfer) {
    upstreams_[request.upstream.name].turns.withdraw(id);
    requests_.erase(found);
    return;
  }
  transfers_.cancel(*request.transfer);
  // What was answered so far has been paid for.
  request.count_tokens();
  finish(request);
}

Status LlmService::status() {
  Status status;
  for (const auto& [name, counts] : agents_) status.agents.push_back(counts);
  for (const auto& upstream : sources_.llm().upstreams) {
    auto& line = upstreams_[upstream.name];
    auto counts = line.counts;
    counts.name = upstream.name;
    counts.url = upstream.url;
    counts.running = line.turns.served();
    counts.waiting = line.turns.waiting();
    status.upstreams.push_back(std::move(counts));
  }
  status.refused = refusals_.counts();
  return status;
}

}  // namespace fireclaw::gateway
