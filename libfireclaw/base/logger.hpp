#pragma once

#include <string_view>
#include <utility>

#include "fireclaw/log.hpp"

namespace fireclaw {

/// Passes messages to the sink it was made with; cheap to copy; safe from any thread as far as the sink is.
class Logger {
 public:
  Logger() = default;
  explicit Logger(LogSink sink) : sink_{std::move(sink)} {}

  void log(LogLevel level, std::string_view message) const noexcept {
    if (sink_) sink_(level, message);
  }
  void debug(std::string_view message) const noexcept { log(LogLevel::Debug, message); }
  void info(std::string_view message) const noexcept { log(LogLevel::Info, message); }
  void warning(std::string_view message) const noexcept { log(LogLevel::Warning, message); }
  void error(std::string_view message) const noexcept { log(LogLevel::Error, message); }

 private:
  LogSink sink_;
};

}  // namespace fireclaw
