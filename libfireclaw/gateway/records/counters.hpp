#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "fireclaw/gateway_counts.hpp"
#include "json/record.hpp"

namespace fireclaw::gateway {

/// The counts of an agent, or of a machine without an agent.
struct AgentCounts {
  /// Without the times.
  GatewayAgent agent;
  /// Answers that began, and the sum and the longest of the times until they did.
  std::uint64_t answers = 0;
  std::uint64_t first_token_us = 0;
  std::uint64_t longest_first_token_us = 0;

  bool operator==(const AgentCounts&) const = default;
};

/// With the times.
GatewayAgent to_agent(const AgentCounts& counts);

/// What a machine was refused since the gateway started.
struct RefusalCounts {
  /// Its agent's name, or its own, or its id.
  std::string name;
  /// "firewall", "names", "llm", "irc", "proxy".
  std::string by;
  std::string rule;
  std::uint64_t count = 0;

  bool operator==(const RefusalCounts&) const = default;
};

/// The gateway's status.
struct Status {
  static constexpr unsigned schema = 1;
  std::vector<std::string> problems;
  std::vector<AgentCounts> agents;
  std::vector<GatewayUpstream> upstreams;
  std::vector<GatewayIrcServer> irc;
  GatewayHttp http;
  std::vector<RefusalCounts> refused;

  bool operator==(const Status&) const = default;
};

}  // namespace fireclaw::gateway

namespace fireclaw {

void describe(auto& field, json::Is<GatewayUpstream> auto& counts) {
  field("name", counts.name);
  field("url", counts.url);
  field("requests", counts.requests);
  field("errors", counts.errors);
  field("running", counts.running);
  field("waiting", counts.waiting);
  field("last_error", counts.last_error);
}

void describe(auto& field, json::Is<GatewayIrcServer> auto& counts) {
  field("name", counts.name);
  field("server", counts.server);
  field("connections", counts.connections);
  field("errors", counts.errors);
  field("open", counts.open);
  field("last_error", counts.last_error);
}

void describe(auto& field, json::Is<GatewayHttp> auto& counts) {
  field("connections", counts.connections);
  field("refused", counts.refused);
  field("errors", counts.errors);
  field("open", counts.open);
}

}  // namespace fireclaw

namespace fireclaw::gateway {

void describe(auto& field, json::Is<AgentCounts> auto& counts) {
  field("name", counts.agent.name);
  field("requests", counts.agent.requests);
  field("refused", counts.agent.refused);
  field("errors", counts.agent.errors);
  field("prompt_tokens", counts.agent.prompt_tokens);
  field("completion_tokens", counts.agent.completion_tokens);
  field("answers", counts.answers);
  field("first_token_us", counts.first_token_us);
  field("longest_first_token_us", counts.longest_first_token_us);
  field.later("limit", counts.agent.limit);
}

void describe(auto& field, json::Is<RefusalCounts> auto& counts) {
  field("name", counts.name);
  field("by", counts.by);
  field("rule", counts.rule);
  field("count", counts.count);
}

void describe(auto& field, json::Is<Status> auto& status) {
  field.schema(Status::schema);
  field.later("problems", status.problems);
  field("agents", status.agents);
  field("upstreams", status.upstreams);
  field.later("irc", status.irc);
  field.later("http", status.http);
  field.later("refused", status.refused);
}

/// The status in Prometheus's text format.
std::string to_metrics(const Status& status);

}  // namespace fireclaw::gateway
