#pragma once

#include <termios.h>

#include <optional>

#include "fireclaw/exec.hpp"

namespace fireclaw::cli {

/// The size of the terminal on `fd`, or nullopt if it is none.
std::optional<WindowSize> terminal_size(int fd);

/// Puts the terminal on `fd` into raw mode (every key goes to the guest) and back on destruction.
class RawTerminal {
 public:
  explicit RawTerminal(int fd);
  RawTerminal(const RawTerminal&) = delete;
  RawTerminal& operator=(const RawTerminal&) = delete;
  ~RawTerminal();

 private:
  int fd_;
  std::optional<termios> before_;
};

}  // namespace fireclaw::cli
