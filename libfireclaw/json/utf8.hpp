#pragma once

#include <cstddef>
#include <string_view>

namespace fireclaw::json {

/// The bytes of the UTF-8 character that `text` starts with, or 0 if it starts with none: cut short, overlong, a
/// surrogate, beyond U+10FFFF, or a stray byte.
std::size_t utf8_length(std::string_view text);

}  // namespace fireclaw::json
