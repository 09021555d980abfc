#pragma once

#include <string>
#include <string_view>

namespace fireclaw::cli {

/// A guest's text for a terminal: lines and tabs stay; everything else that a terminal would obey is spelled out as
/// by printable(). Takes pieces, which can tear characters.
class TerminalText {
 public:
  /// Carriage returns draw progress bars, and hide earlier text. A log spells them.
  enum class Returns { Keep, Spell };
  explicit TerminalText(Returns returns) : returns_{returns} {}
  /// Adds a piece and returns the text that can be shown now.
  std::string add(std::string_view piece);
  /// The rest: the kept part of a character that never ended.
  std::string finish();

 private:
  Returns returns_;
  std::string torn_;
};

}  // namespace fireclaw::cli
