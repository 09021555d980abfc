#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace fireclaw::gateway {

/// The tokens of a question and its answer.
struct Tokens {
  std::uint64_t prompt = 0;
  std::uint64_t completion = 0;
  /// As the server counted; otherwise estimated: four bytes of a prompt or of an answer in one piece are a token, and
  /// so is each event.
  bool counted = false;

  [[nodiscard]] std::uint64_t sum() const { return prompt + completion; }
  bool operator==(const Tokens&) const = default;
};

/// Finds in an answer, as it passes, what it cost: Ollama's prompt_eval_count and eval_count, OpenAI's usage. Whatever
/// the server sends is taken; no more than 1 MiB of it is kept.
class TokenReader {
 public:
  /// `content_type` says whether the answer comes in events.
  TokenReader(std::string_view content_type, std::size_t prompt_bytes);

  void feed(std::string_view bytes);
  /// At the end, whether the answer is whole or not.
  [[nodiscard]] Tokens finish();

 private:
  void take_line(std::string_view text);
  void read(std::string_view text);

  bool events_;
  std::size_t prompt_bytes_;
  std::size_t answer_bytes_ = 0;
  std::uint64_t lines_ = 0;
  std::string line_;
  bool too_long_ = false;
  Tokens found_;
};

}  // namespace fireclaw::gateway
