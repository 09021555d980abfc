#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "fireclaw/export.hpp"
#include "fireclaw/host.hpp"
#include "fireclaw/network.hpp"

namespace fireclaw {

/// A server of language models that answers.
struct LlmServer {
  /// "Ollama", "llama.cpp" or "LM Studio" if it is found at that one's port; else "LLM server".
  std::string name;
  /// As config.json names it: "http://127.0.0.1:11434".
  std::string url;
  /// What it speaks: "ollama" or "openai".
  std::string api;
  /// The models that it has, in its order.
  std::vector<std::string> models;

  /// Equal in all members.
  bool operator==(const LlmServer&) const = default;
};

/// Host::llm_servers(): the servers of language models that a host's agents can ask. Safe from several threads and
/// processes.
class FIRECLAW_API LlmServers {
 public:
  /// Those that answer on this host's loopback at the ports that Ollama (11434), llama.cpp (8080) and LM Studio (1234)
  /// have by default. Takes some seconds at most.
  [[nodiscard]] std::vector<LlmServer> find() const;
  /// The one at `url`, asked for its models. Error(InvalidArgument) unless that begins with http:// or https://,
  /// Error(NotFound) if no such server answers there.
  [[nodiscard]] LlmServer ask(const std::string& url) const;
  /// The URL of the server that config.json names for agents; nullopt: none, or only what use() wrote.
  [[nodiscard]] std::optional<std::string> named() const;
  /// Lets agents with `network` ask `server` from their next start on, by writing it into config.json: with
  /// NetworkMode::Nat as the first server of the gateway, which reaches this host's loopback; else as llm.url. Servers
  /// that are named there already stay, behind it. Error(InvalidState) if llm.url names another one, which the gateway
  /// does not replace.
  void use(const LlmServer& server, NetworkMode network) const;

 private:
  explicit LlmServers(Host host) : host_{std::move(host)} {}
  Host host_;
  friend class Host;
};

}  // namespace fireclaw
