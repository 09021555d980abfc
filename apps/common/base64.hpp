#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace fireclaw::cli {

/// RFC 4648, with padding.
std::string to_base64(std::string_view bytes);
/// The bytes; nothing if `text` is no base64. Padding and line breaks may be left out or be there.
std::optional<std::string> from_base64(std::string_view text);

}  // namespace fireclaw::cli
