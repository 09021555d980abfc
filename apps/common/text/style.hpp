#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace fireclaw::cli {

/// Highlights text on a terminal: headings, good and bad news, warnings. Elsewhere it does
/// nothing.
class Style {
 public:
  /// The style for `fd`: on for terminals, unless NO_COLOR is set or the terminal is a dumb one;
  /// CLICOLOR_FORCE turns it on elsewhere, too.
  static Style of(int fd);
  /// Always or never.
  explicit Style(bool on) : on_{on} {}

  [[nodiscard]] std::string heading(std::string_view text) const { return dress(text, "1"); }
  [[nodiscard]] std::string good(std::string_view text) const { return dress(text, "32"); }
  [[nodiscard]] std::string doubtful(std::string_view text) const { return dress(text, "33"); }
  [[nodiscard]] std::string bad(std::string_view text) const { return dress(text, "1;31"); }

 private:
  [[nodiscard]] std::string dress(std::string_view text, std::string_view attributes) const;

  bool on_;
};

/// The width of lines on `fd`: $COLUMNS, else what the terminal reports; 0 if it is not a terminal.
std::size_t columns_of(int fd);

/// "fireclaw: text" as a line on standard error, whatever is in the text.
void print_message(std::string_view program, std::string_view text);

}  // namespace fireclaw::cli
