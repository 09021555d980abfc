#include "gateway/llm/tokens.hpp"

#include <algorithm>
#include <optional>

#include "fireclaw/error.hpp"
#include "json/json.hpp"

namespace fireclaw::gateway {
namespace {

constexpr std::size_t longest_line = std::size_t{1} << 20;
constexpr std::size_t bytes_per_token = 4;

std::uint64_t number(const json::Value& object, std::string_view name) {
  const auto found = object.find(name);
  return found && found->is_integer() && found->as_double() >= 0 ? found->as_uint() : 0;
}

}  // namespace

TokenReader::TokenReader(std::string_view content_type, std::size_t prompt_bytes)
    : events_{content_type.starts_with("text/event-stream") || content_type.starts_with("application/x-ndjson")},
      prompt_bytes_{prompt_bytes} {}

void TokenReader::feed(std::string_view bytes) {
  answer_bytes_ += bytes.size();
  while (!bytes.empty()) {
    const auto end = events_ ? bytes.find('\n') : std::string_view::npos;
    const auto part = bytes.substr(0, end);
    if (line_.size() + part.size() > longest_line) too_long_ = true;
    const bool ends = end != std::string_view::npos;
    // Most lines come whole.
    const bool whole = ends && line_.empty();
    if (!whole && !too_long_) line_ += part;
    if (!ends) return;
    take_line(whole ? part : line_);
    line_.clear();
    too_long_ = false;
    bytes.remove_prefix(end + 1);
  }
}

void TokenReader::take_line(std::string_view text) {
  constexpr std::string_view data = "data:";
  if (text.starts_with(data)) text.remove_prefix(data.size());
  const bool blank = text.find_first_not_of(" \r\t") == std::string_view::npos;
  if (!blank || too_long_) ++lines_;
  // Most events have no numbers.
  if (!too_long_ && (text.find("eval_count") != text.npos || text.find("\"usage\"") != text.npos)) read(text);
}

void TokenReader::read(std::string_view text) {
  try {
    const auto value = json::Value::parse(text, "answer");
    if (!value.is_object()) return;
    const auto usage = value.find("usage");
    const bool openai = usage && usage->is_object();
    const Tokens tokens{number(openai ? *usage : value, openai ? "prompt_tokens" : "prompt_eval_count"),
                        number(openai ? *usage : value, openai ? "completion_tokens" : "eval_count"), true};
    // Some servers repeat the sum so far in each event.
    if (tokens.sum() != 0) found_ = tokens;
  } catch (const Error&) {
    // Not JSON: an answer like any other, which costs what is estimated.
  }
}

Tokens TokenReader::finish() {
  if (events_) {
    if (!line_.empty() || too_long_) take_line(line_);
  } else if (!too_long_ && !line_.empty()) {
    read(line_);
  }
  if (found_.counted) return found_;
  return {prompt_bytes_ / bytes_per_token, events_ ? lines_ : answer_bytes_ / bytes_per_token, false};
}

}  // namespace fireclaw::gateway
