#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace fireclaw::mcp {

/// Keeps the beginning and the end of a stream, and says how much was between them.
class BoundedOutput {
 public:
  /// `most` bytes are kept.
  explicit BoundedOutput(std::size_t most) : half_{most / 2} {}

  void add(std::string_view bytes);

  [[nodiscard]] std::uint64_t total() const { return total_; }
  [[nodiscard]] bool cut() const { return total_ > 2 * half_; }
  /// With a line in place of what was left out.
  [[nodiscard]] std::string text() const;

 private:
  std::size_t half_;
  std::string head_;
  std::string tail_;
  std::uint64_t total_ = 0;
};

}  // namespace fireclaw::mcp
