#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "fireclaw/llm.hpp"
#include "json/json.hpp"

/// LLM servers, as config.json names them for agents.
namespace fireclaw::core {

/// The server that a section "gateway" or "llm" names; nullopt: none, or only what with_llm_server() and
/// pointed_at() put there.
std::optional<std::string> named_llm_server(const std::optional<json::Value>& llm,
                                            const std::optional<json::Value>& gateway);

/// The section "gateway" with `server` as the first that is asked, in place of one that was put there before. `port`:
/// where agents reach it, unless the section says so.
json::Value with_llm_server(const std::optional<json::Value>& gateway, const LlmServer& server, std::uint16_t port);

/// The URL in section "llm", unless pointed_at() put it there.
std::optional<std::string> persons_llm_url(const std::optional<json::Value>& llm);

/// The section "llm" for agents that reach this host's loopback themselves. Key and certificates stay only if the URL
/// does.
json::Value pointed_at(const std::optional<json::Value>& llm, const LlmServer& server);

/// The section "llm" without what pointed_at() put there.
std::optional<json::Value> without_pointer(const std::optional<json::Value>& llm);

}  // namespace fireclaw::core
