#pragma once

#include <functional>
#include <string_view>

#include "fireclaw/export.hpp"

namespace fireclaw {

/// How important a message is, least first.
enum class LogLevel { Debug, Info, Warning, Error };

/// The level's name in lower case: "debug", "info", "warning", "error".
FIRECLAW_API std::string_view to_string(LogLevel level) noexcept;

/// Receives the library's messages, one line a call, without a newline. It can be called from several threads at
/// once. It must not throw or call back into the library. An empty sink drops messages.
using LogSink = std::function<void(LogLevel level, std::string_view message)>;

}  // namespace fireclaw
