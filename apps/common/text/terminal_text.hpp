#pragma once

#include <string>
#include <string_view>

namespace fireclaw::cli {

/// What a guest says, for a terminal: lines and tabs stay, anything else that a terminal would obey is spelled out as
/// by printable(). Fed piece by piece, which may tear characters.
class TerminalText {
 public:
  /// Carriage returns draw progress bars, and hide what stood there. A log has no use for them.
  enum class Returns { Keep, Spell };
  explicit TerminalText(Returns returns) : returns_{returns} {}
  /// What can be shown by now.
  std::string add(std::string_view piece);
  /// What was kept of a character that never ended.
  std::string finish();

 private:
  Returns returns_;
  std::string torn_;
};

}  // namespace fireclaw::cli
