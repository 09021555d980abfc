#include "common/text/terminal_text.hpp"

#include <doctest/doctest.h>

namespace fireclaw::cli {
namespace {

TEST_CASE("on a terminal, a guest's text keeps lines and tabs and loses control sequences") {
  TerminalText text{TerminalText::Returns::Spell};
  CHECK(text.add("a\tb\n\x1b]52;c;eA==\a") == "a\tb\n\\x1b]52;c;eA==\\x07");
  CHECK(text.add("over\rwritten") == "over\\x0dwritten");
  TerminalText output{TerminalText::Returns::Keep};
  CHECK(output.add("10%\r20%\x9b") == "10%\r20%\\x9b");
}

TEST_CASE("a character that comes in pieces is whole, and one of the second set is not slipped through so") {
  TerminalText text{TerminalText::Returns::Keep};
  CHECK(text.add("gr\xc3") == "gr");
  CHECK(text.add("\xbc\xc2") == "ü");
  CHECK(text.add("\x9b") == "\\xc2\\x9b");
  CHECK(text.add("\xe2\x82").empty());
  CHECK(text.add("x") == "\\xe2\\x82x");
  CHECK(text.add("\xf0\x9f").empty());
  CHECK(text.finish() == "\\xf0\\x9f");
  CHECK(text.finish().empty());
}

}  // namespace
}  // namespace fireclaw::cli
