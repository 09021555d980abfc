#pragma once

#include <optional>
#include <string_view>

#include "common/text/terminal_text.hpp"

namespace fireclaw::cli {

/// Text that a guest wrote, on standard output: in a pipe as it is, on a terminal without what that would obey.
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
