#include "up/llm_choice.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "fireclaw/error.hpp"

namespace fireclaw::cli {
namespace {

bool has_model(const LlmServer& server, const std::string& model) {
  return std::ranges::any_of(server.models,
                             [&](const std::string& one) { return one == model || one == model + ":latest"; });
}

bool is_ollama(const LlmServer& server) { return server.api == "ollama"; }

[[noreturn]] void fail_without(const LlmServer& server, const std::string& model) {
  throw Error{ErrorCode::NotFound, fmt::format("{} at {} has no model '{}'; get it with: ollama pull {}", server.name,
                                               server.url, model, model)};
}

}  // namespace

std::string choose_model(const LlmServer& server, const std::string& wanted) {
  if (has_model(server, wanted)) return wanted;
  // Those answer with numbers.
  const auto chats = std::ranges::find_if(
      server.models, [](const std::string& one) { return one.find("embed") == std::string::npos; });
  if (chats != server.models.end()) return *chats;
  if (is_ollama(server)) fail_without(server, wanted);
  return {};
}

void require_model(const LlmServer& server, const std::string& model) {
  if (is_ollama(server) && !has_model(server, model)) fail_without(server, model);
}

std::string how_to_get_llm(const std::string& model) {
  return fmt::format(
      "no LLM server answers on this host (Ollama's port 11434, llama.cpp's 8080, LM Studio's 1234); get one with: "
      "curl "
      "-fsSL https://ollama.com/install.sh | sh && ollama pull {}; or name yours with --llm URL",
      model);
}

}  // namespace fireclaw::cli
