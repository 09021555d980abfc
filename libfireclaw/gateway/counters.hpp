#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "json/record.hpp"

namespace fireclaw::gateway {

/// What an agent, or a machine that is none's, has asked LLMs for since the gateway started.
struct AgentCounts {
  std::string name;
  /// Passed on.
  std::uint64_t requests = 0;
  /// Not passed on.
  std::uint64_t refused = 0;
  /// Passed on, and without a whole answer that was none of the agent's doing.
  std::uint64_t errors = 0;
  std::uint64_t prompt_tokens = 0;
  std::uint64_t completion_tokens = 0;
  /// Answers that began, and the sum and the longest of the times until they did.
  std::uint64_t answers = 0;
  std::uint64_t first_token_us = 0;
  std::uint64_t longest_first_token_us = 0;

  bool operator==(const AgentCounts&) const = default;
};

struct UpstreamCounts {
  std::string name;
  std::string url;
  std::uint64_t requests = 0;
  std::uint64_t errors = 0;
  std::uint64_t running = 0;
  std::uint64_t waiting = 0;
  /// The last error, one line; empty after an answer.
  std::string last_error;

  bool operator==(const UpstreamCounts&) const = default;
};

struct IrcCounts {
  std::string name;
  /// "irc.example.org:6697"
  std::string server;
  /// Of agents, since the gateway started.
  std::uint64_t connections = 0;
  /// Those of them that it did not take in, or that broke off.
  std::uint64_t errors = 0;
  std::uint64_t open = 0;
  /// The last error, one line; empty after a connection.
  std::string last_error;

  bool operator==(const IrcCounts&) const = default;
};

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

/// All that the gateway tells of itself.
struct Status {
  static constexpr unsigned schema = 1;
  std::vector<AgentCounts> agents;
  std::vector<UpstreamCounts> upstreams;
  std::vector<IrcCounts> irc;
  std::vector<RefusalCounts> refused;

  bool operator==(const Status&) const = default;
};

void describe(auto& field, json::Is<AgentCounts> auto& counts) {
  field("name", counts.name);
  field("requests", counts.requests);
  field("refused", counts.refused);
  field("errors", counts.errors);
  field("prompt_tokens", counts.prompt_tokens);
  field("completion_tokens", counts.completion_tokens);
  field("answers", counts.answers);
  field("first_token_us", counts.first_token_us);
  field("longest_first_token_us", counts.longest_first_token_us);
}

void describe(auto& field, json::Is<UpstreamCounts> auto& counts) {
  field("name", counts.name);
  field("url", counts.url);
  field("requests", counts.requests);
  field("errors", counts.errors);
  field("running", counts.running);
  field("waiting", counts.waiting);
  field("last_error", counts.last_error);
}

void describe(auto& field, json::Is<IrcCounts> auto& counts) {
  field("name", counts.name);
  field("server", counts.server);
  field("connections", counts.connections);
  field("errors", counts.errors);
  field("open", counts.open);
  field("last_error", counts.last_error);
}

void describe(auto& field, json::Is<RefusalCounts> auto& counts) {
  field("name", counts.name);
  field("by", counts.by);
  field("rule", counts.rule);
  field("count", counts.count);
}

void describe(auto& field, json::Is<Status> auto& status) {
  field.schema(Status::schema);
  field("agents", status.agents);
  field("upstreams", status.upstreams);
  field.later("irc", status.irc);
  field.later("refused", status.refused);
}

/// The text that Prometheus reads.
std::string to_metrics(const Status& status);

}  // namespace fireclaw::gateway
