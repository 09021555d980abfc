#include "bounded_output.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace fireclaw::mcp {
namespace {

bool continues_character(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

/// Without the first bytes of a character whose rest was cut off. Longer ones than UTF-8 has are not characters.
std::string_view without_torn_end(std::string_view text) {
  std::size_t rest = 0;
  while (rest < 3 && rest < text.size() && continues_character(text[text.size() - 1 - rest])) ++rest;
  if (rest == text.size()) return text;
  const auto lead = static_cast<unsigned char>(text[text.size() - 1 - rest]);
  const std::size_t wanted = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : lead >= 0xc0 ? 1 : 0;
  return wanted > rest ? text.substr(0, text.size() - 1 - rest) : text;
}

std::string_view without_torn_begin(std::string_view text) {
  std::size_t torn = 0;
  while (torn < 3 && torn < text.size() && continues_character(text[torn])) ++torn;
  return text.substr(torn);
}

}  // namespace

void BoundedOutput::add(std::string_view bytes) {
  total_ += bytes.size();
  const auto first = bytes.substr(0, half_ - head_.size());
  head_ += first;
  bytes.remove_prefix(first.size());
  tail_ += bytes.substr(bytes.size() - std::min(bytes.size(), half_));
  // Not at every call: that would move the whole tail each time.
  if (tail_.size() >= 2 * half_) tail_.erase(0, tail_.size() - half_);
}

std::string BoundedOutput::text() const {
  if (!cut()) return head_ + tail_;
  const auto head = without_torn_end(head_);
  const auto tail = without_torn_begin(std::string_view{tail_}.substr(tail_.size() - half_));
  return fmt::format("{}\n[... {} bytes left out ...]\n{}", head, total_ - head.size() - tail.size(), tail);
}

}  // namespace fireclaw::mcp
