#pragma once

#include <cstddef>
#include <string_view>

namespace fireclaw::cli {

/// The length in bytes of the first character of `text` as people see it: a letter with its marks, a flag, a keycap,
/// a family. 0 for an empty text; a byte that is not UTF-8 is one by itself. By the rules of UAX #29, except that
/// whatever follows a zero width joiner belongs to it.
std::size_t cluster_length(std::string_view text);

}  // namespace fireclaw::cli
