#pragma once

#include <string>

#include "fireclaw/llm.hpp"

namespace fireclaw::cli {

/// The model to use of `server`: `wanted` if it has that, else the first that is there to chat with. Empty: the server
/// names none. Error(NotFound) if that is an Ollama, which could fetch one: the text says how.
std::string choose_model(const LlmServer& server, const std::string& wanted);

/// Error(NotFound) unless `server` has that model, or fetches models by itself.
void require_model(const LlmServer& server, const std::string& model);

/// How to get an LLM server and a model for it, one line.
std::string how_to_get_llm(const std::string& model);

}  // namespace fireclaw::cli
