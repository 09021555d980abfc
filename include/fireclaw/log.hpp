#pragma once

#include <functional>
#include <string_view>

#include "fireclaw/export.hpp"

namespace fireclaw {

/// How important a message is, least first.
enum class LogLevel { Debug, Info, Warning, Error };

/// The level's name in lower case: "debug", "info", "warning", "error".
FIRECLAW_API std::string_view to_string(LogLevel level) noexcept;

/// Where the library's messages go. One line a call, without a newline. May be called from any thread, also
/// from several at once; must not throw and must not call back into the library. An empty sink drops them.
using LogSink = std::function<void(LogLevel level, std::string_view message)>;

}  // namespace fireclaw
