#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/host/impl.hpp"
#include "fireclaw/vm.hpp"
#include "json/json.hpp"

/// What an agent needs outside of its machine: an IRC server, an LLM server, a model. It is tried from this host, at
/// the address by which a machine would reach it.
namespace fireclaw::core {

/// What is wrong with one of these, and the command that mends it.
struct OutsideTrouble {
  /// "irc", "llm", "model".
  std::string_view what;
  std::string problem;
  std::string remedy;
};

/// The servers and the model of a bot's configuration, as far as they are tried.
struct OutsideNeeds {
  std::string irc_host;
  std::uint16_t irc_port = 6667;
  std::string llm_url;
  std::string model;

  bool operator==(const OutsideNeeds&) const = default;
};

/// Reads them from the configuration of a bot.
OutsideNeeds read_needs(const json::Value& bot);

/// Host and port of a URL; the port that its scheme has if it names none.
struct ServerName {
  std::string host;
  std::uint16_t port = 0;

  bool operator==(const ServerName&) const = default;
};
/// nullopt unless it is an http:// or https:// URL.
std::optional<ServerName> server_of(std::string_view url);

/// The servers that are not at the gateway's address: "192.0.2.7:6667".
std::vector<std::string> servers_elsewhere(const OutsideNeeds& needs, std::string_view gateway);

/// Asks an LLM server at `url`, for some seconds; its answer as JSON. Error(NotFound) for a path that it does not know.
json::Value ask_llm_server(const std::string& url);

/// Whether somebody listens there. Tries for some seconds; `why` says what was wrong.
bool answers(const std::string& address, std::uint16_t port, std::string& why);

/// Whether one of an Ollama's models (the answer to /api/tags) is meant by `model`: without a tag "latest" is.
bool has_model(const json::Value& tags, std::string_view model);

/// Tries them, for some seconds at most. Empty: all answer. Servers that cannot be tried from here (a name that this
/// host does not know, TLS) count as answering.
std::vector<OutsideTrouble> find_outside_trouble(const Host::Impl& host, const OutsideNeeds& needs,
                                                 const std::string& agent);

}  // namespace fireclaw::core
