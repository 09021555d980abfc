#include "log.hpp"

#include <unistd.h>

#include <fmt/format.h>

#include "fireclaw/error.hpp"
#include "irc/text.hpp"

namespace fireclaw::overseer {
namespace {

/// As syslog(3) counts them.
int priority(LogLevel level) {
  switch (level) {
    case LogLevel::Debug: return 7;
    case LogLevel::Info: return 6;
    case LogLevel::Warning: return 4;
    case LogLevel::Error: return 3;
  }
  return 3;
}

}  // namespace

void Log::operator()(LogLevel level, std::string_view message) const {
  if (level < shown_) return;
  const auto line = journal_ ? fmt::format("<{}>{}\n", priority(level), clean_line(message))
                             : fmt::format("fireclaw-overseer: {}\n", clean_line(message));
  // Nobody is left to be told if this fails.
  if (::write(STDERR_FILENO, line.data(), line.size()) < 0) return;
}

LogLevel log_level_from_string(std::string_view text) {
  if (text == "debug") return LogLevel::Debug;
  if (text == "info") return LogLevel::Info;
  if (text == "warning") return LogLevel::Warning;
  if (text == "error") return LogLevel::Error;
  throw Error{ErrorCode::InvalidArgument, fmt::format("log level '{}' is not debug, info, warning or error", text)};
}

}  // namespace fireclaw::overseer
