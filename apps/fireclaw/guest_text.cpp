#include "guest_text.hpp"

#include <unistd.h>

#include <cstdio>
#include <string>

namespace fireclaw::cli {

GuestText::GuestText() {
  if (::isatty(STDOUT_FILENO) == 1) terminal_.emplace(TerminalText::Returns::Spell);
}

GuestText::~GuestText() {
  if (terminal_) std::fputs(terminal_->finish().c_str(), stdout);
}

void GuestText::print(std::string_view text) {
  const auto shown = terminal_ ? terminal_->add(text) : std::string{text};
  std::fwrite(shown.data(), 1, shown.size(), stdout);
  std::fflush(stdout);
}

}  // namespace fireclaw::cli
