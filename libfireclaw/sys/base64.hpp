#pragma once

#include <string>
#include <string_view>

namespace fireclaw::sys {

/// RFC 4648, with padding; by libnettle.
std::string base64(std::string_view bytes);

}  // namespace fireclaw::sys
