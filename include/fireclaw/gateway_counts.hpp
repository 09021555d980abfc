#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace fireclaw {

/// Counts of an agent's requests to LLMs since the gateway started.
struct GatewayAgent {
  /// The agent's name, or the machine's id if no agent runs in it.
  std::string name;
  /// Requests that were passed on.
  std::uint64_t requests = 0;
  /// Requests that were refused: no server has the model, a limit is reached, or they ask for something else.
  std::uint64_t refused = 0;
  /// Requests that an LLM server did not answer as a whole.
  std::uint64_t errors = 0;
  /// Tokens sent to LLMs; estimated if a server does not count.
  std::uint64_t prompt_tokens = 0;
  /// Tokens of their answers, likewise.
  std::uint64_t completion_tokens = 0;
  /// The mean time to an answer's first token.
  std::chrono::milliseconds first_token{0};
  /// The longest time to one.
  std::chrono::milliseconds longest_first_token{0};
  /// The limit that refused its last request, in the words that it was told; empty if none did.
  std::string limit = {};

  /// Equal in all members.
  bool operator==(const GatewayAgent&) const = default;
};

/// An LLM server that the gateway passes requests on to.
struct GatewayUpstream {
  /// Its name in config.json.
  std::string name;
  /// Its URL in config.json.
  std::string url;
  /// Requests sent to it since the gateway started.
  std::uint64_t requests = 0;
  /// How many of them it did not answer as a whole.
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
  /// Its address, as in "irc.example.org:6697".
  std::string server;
  /// Connections of agents since the gateway started.
  std::uint64_t connections = 0;
  /// How many of them the server did not accept, or were cut off.
  std::uint64_t errors = 0;
  /// Connections that are open.
  std::uint64_t open = 0;
  /// What went wrong last, one line; empty after a connection.
  std::string last_error;

  /// Equal in all members.
  bool operator==(const GatewayIrcServer&) const = default;
};

/// Counts of connections to the gateway's HTTP proxy since the gateway started.
struct GatewayHttp {
  /// Connections that machines have made.
  std::uint64_t connections = 0;
  /// How many of them asked for a destination that is not allowed, or for too much at once.
  std::uint64_t refused = 0;
  /// How many of them asked for a server that could not be reached.
  std::uint64_t errors = 0;
  /// Connections that are open.
  std::uint64_t open = 0;

  /// Equal in all members.
  bool operator==(const GatewayHttp&) const = default;
};

/// What the gateway costs: times and speeds through it, and without it.
struct GatewayCost {
  /// The median time to the first token without the gateway, from an LLM that answers at once, on a new connection.
  std::chrono::nanoseconds direct{0};
  /// The same through the gateway.
  std::chrono::nanoseconds through{0};
  /// `direct` with a prompt of 100 KB.
  std::chrono::nanoseconds long_direct{0};
  /// `through` with a prompt of 100 KB.
  std::chrono::nanoseconds long_through{0};
  /// How fast an answer of 1 GiB comes without the gateway.
  std::uint64_t direct_bytes_per_second = 0;
  /// The same through the gateway.
  std::uint64_t through_bytes_per_second = 0;
  /// The gateway's memory when idle.
  std::uint64_t idle_bytes = 0;
  /// Its memory while it answers 100 agents with prompts of 100 KB.
  std::uint64_t busy_bytes = 0;

  /// Equal in all members.
  bool operator==(const GatewayCost&) const = default;
};

/// How often a rule has refused something to a machine since the gateway started.
struct GatewayRefusals {
  /// The agent's name, or the machine's id if no agent runs in it.
  std::string name;
  /// Which part refused: "firewall", "names", "llm", "irc" or "proxy".
  std::string by;
  /// The rule in one word, as in "allowlist".
  std::string rule;
  /// How often. After the first 20, at most 5 refusals a second of the firewall are counted for a machine.
  std::uint64_t count = 0;

  /// Equal in all members.
  bool operator==(const GatewayRefusals&) const = default;
};

}  // namespace fireclaw
