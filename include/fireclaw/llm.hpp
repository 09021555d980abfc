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
  /// "Ollama", "llama.cpp" or "LM Studio" if it answers at that server's default port; else "LLM server".
  std::string name;
  /// Its URL for config.json, as in "http://127.0.0.1:11434".
  std::string url;
  /// Its protocol: "ollama" or "openai".
  std::string api;
  /// Its models, in its order.
  std::vector<std::string> models;

  /// Equal in all members.
  bool operator==(const LlmServer&) const = default;
};

/// Host::llm_servers(): the servers of language models that a host's agents can ask. Safe from several threads and
/// processes.
class FIRECLAW_API LlmServers {
 public:
  /// Finds servers on this host's loopback at the default ports of Ollama (11434), llama.cpp (8080) and LM Studio
  /// (1234). Takes some seconds at most.
  [[nodiscard]] std::vector<LlmServer> find() const;
  /// Asks the server at `url` for its models. Error(InvalidArgument) unless it begins with http:// or https://,
  /// Error(NotFound) if no such server answers there.
  [[nodiscard]] LlmServer ask(const std::string& url) const;
  /// The URL of the server that a person named for agents in config.json; nullopt: none, or only what use() wrote.
  [[nodiscard]] std::optional<std::string> named() const;
  /// Lets agents with `network` ask `server` from their next start on. Writes it into config.json: with
  /// NetworkMode::Nat as the gateway's first server, before those that are named there already (the gateway reaches
  /// this host's loopback); else as llm.url. Error(InvalidState) if llm.url names another server, which the gateway
  /// does not replace.
  void use(const LlmServer& server, NetworkMode network) const;

 private:
  explicit LlmServers(Host host) : host_{std::move(host)} {}
  Host host_;
  friend class Host;
};

}  // namespace fireclaw
