#pragma once

#include <optional>
#include <string_view>

#include "common/text/terminal_text.hpp"

namespace fireclaw::cli {

/// Writes a guest's text to standard output: in a pipe unchanged, on a terminal without control sequences.
class GuestText {
 public:
  GuestText();
  GuestText(const GuestText&) = delete;
  GuestText& operator=(const GuestText&) = delete;
  ~GuestText();
  void print(std::string_view text);

 private:
  std::optional<TerminalText> terminal_;
};

}  // namespace fireclaw::cli
