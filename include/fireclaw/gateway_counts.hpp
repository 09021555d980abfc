#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace fireclaw {

/// What an agent has asked LLMs for through the gateway, since that started.
struct GatewayAgent {
  /// The agent's name, or the id of a machine that was not started for one.
  std::string name;
  /// Requests that were passed on.
  std::uint64_t requests = 0;
  /// Requests that were not: nobody serves the model, a limit is reached, or they ask for something else.
  std::uint64_t refused = 0;
  /// Requests that an LLM server did not answer as a whole.
  std::uint64_t errors = 0;
  /// Tokens that LLMs were sent; estimated where a server does not count.
  std::uint64_t prompt_tokens = 0;
  /// Tokens that they answered, likewise.
  std::uint64_t completion_tokens = 0;
  /// The mean time until an answer began.
  std::chrono::milliseconds first_token{0};
  /// The longest of these times.
  std::chrono::milliseconds longest_first_token{0};
  /// The limit that has refused its last request, as it was told; empty if none has.
  std::string limit = {};

  /// Equal in all members.
  bool operator==(const GatewayAgent&) const = default;
};

/// An LLM server that the gateway passes requests on to.
struct GatewayUpstream {
  /// Its name in config.json.
  std::string name;
  /// Its address there.
  std::string url;
  /// Requests that it was sent since the gateway started.
  std::uint64_t requests = 0;
  /// Those of them that it did not answer as a whole.
  std::uint64_t errors = 0;
  /// Requests that it is answering now.
  std::uint64_t running = 0;
  /// Requests that wait for their turn.
  std::uint64_t waiting = 0;
  /// What went wrong last, one line; empty after an answer.
  std::string last_error;

  /// Equal in all members.
  bool operator==(const GatewayUpstream&) const = default;
};

/// An IRC server that the gateway passes connections on to.
struct GatewayIrcServer {
  /// Its name in config.json.
  std::string name;
  /// Where it is, as in "irc.example.org:6697".
  std::string server;
  /// Connections of agents since the gateway started.
  std::uint64_t connections = 0;
  /// Those of them that the server did not take in, or that broke off.
  std::uint64_t errors = 0;
  /// Connections that are open.
  std::uint64_t open = 0;
  /// What went wrong last, one line; empty after a connection.
  std::string last_error;

  /// Equal in all members.
  bool operator==(const GatewayIrcServer&) const = default;
};

/// What machines have asked the gateway's HTTP proxy for, since the gateway started.
struct GatewayHttp {
  /// Connections that machines have made.
  std::uint64_t connections = 0;
  /// Those of them that ask for what their machine may not reach, or for too much at once.
  std::uint64_t refused = 0;
  /// Those of them whose server could not be reached.
  std::uint64_t errors = 0;
  /// Connections that are open.
  std::uint64_t open = 0;

  /// Equal in all members.
  bool operator==(const GatewayHttp&) const = default;
};

/// What the way through the gateway costs, beside the way around it.
struct GatewayCost {
  /// Until the first token of an LLM that answers at once, on a new connection to it: the median.
  std::chrono::nanoseconds direct{0};
  /// The same through the gateway.
  std::chrono::nanoseconds through{0};
  /// `direct` with a prompt of 100 KB.
  std::chrono::nanoseconds long_direct{0};
  /// `through` with a prompt of 100 KB.
  std::chrono::nanoseconds long_through{0};
  /// How fast an answer of 1 GiB comes, in bytes a second.
  std::uint64_t direct_bytes_per_second = 0;
  /// The same through the gateway.
  std::uint64_t through_bytes_per_second = 0;
  /// The gateway's memory before it was asked much.
  std::uint64_t idle_bytes = 0;
  /// Its memory while 100 agents with prompts of 100 KB are answered.
  std::uint64_t busy_bytes = 0;

  /// Equal in all members.
  bool operator==(const GatewayCost&) const = default;
};

/// What machines were refused since the gateway started.
struct GatewayRefusals {
  /// The agent's name, or the id of a machine that was not started for one.
  std::string name;
  /// What refused: "firewall", "names", "llm", "irc" or "proxy".
  std::string by;
  /// The rule in one word, as in "allowlist".
  std::string rule;
  /// How often. The firewall tells at most 5 a second of a machine, after the first 20.
  std::uint64_t count = 0;

  /// Equal in all members.
  bool operator==(const GatewayRefusals&) const = default;
};

}  // namespace fireclaw
