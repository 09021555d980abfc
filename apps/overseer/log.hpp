#pragma once

#include <string_view>

#include "fireclaw/log.hpp"

namespace fireclaw::overseer {

/// Lines on standard error, in one piece each; with journald's level marks where the journal reads them.
class Log {
 public:
  Log(LogLevel shown, bool journal) : shown_{shown}, journal_{journal} {}
  void operator()(LogLevel level, std::string_view message) const;

 private:
  LogLevel shown_;
  bool journal_;
};

/// Error(InvalidArgument).
LogLevel log_level_from_string(std::string_view text);

}  // namespace fireclaw::overseer
