#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace fireclaw {

/// The bytes of the UTF-8 character that `text` starts with, or 0 if it starts with none: cut short, overlong, a
/// surrogate, beyond U+10FFFF, or a stray byte.
std::size_t utf8_length(std::string_view text);

/// `text` as one line of UTF-8 that holds nothing a terminal obeys: control characters of both sets, and bytes that are
/// no UTF-8, stand there as "\x1b".
std::string printable(std::string_view text);

}  // namespace fireclaw
