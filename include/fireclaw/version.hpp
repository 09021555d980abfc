#pragma once

#include <string_view>

#include "fireclaw/export.hpp"

/// The version of these headers. The build system reads it from here; there is no second copy.
#define FIRECLAW_VERSION_MAJOR 0
#define FIRECLAW_VERSION_MINOR 1
#define FIRECLAW_VERSION_PATCH 0
#define FIRECLAW_VERSION_STRING "0.1.0"

namespace fireclaw {

/// The version of the library that is loaded, e.g. "0.1.0". It can be newer than FIRECLAW_VERSION_STRING, with which
/// the caller was compiled.
FIRECLAW_API std::string_view version() noexcept;

}  // namespace fireclaw
