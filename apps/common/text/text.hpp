#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/text.hpp"

namespace fireclaw::cli {

using fireclaw::printable;
using fireclaw::utf8_length;

/// Whether all of it is UTF-8.
bool is_utf8(std::string_view text);
/// Characters, which is what a terminal's columns are for the texts that programs show.
std::size_t width(std::string_view text);
/// At most `most` characters, the last of them "…" if there were more. Does not tear what people see as one character.
std::string shorten(std::string_view line, std::size_t most);
/// JSON in which characters that some terminals and readers obey are escaped: DEL, the second set of control
/// characters, ends of lines, turns of direction. They occur only in texts, where an escape means the same.
std::string escape_controls(std::string_view json);
/// Lines of at most `columns` characters, broken between words; a longer word stands alone. At least one line.
std::vector<std::string> wrap_words(std::string_view text, std::size_t columns);

/// The one of `known` that a person who typed `word` may have meant; empty if none is similar.
std::string likely_meant(std::string_view word, const std::vector<std::string>& known);

}  // namespace fireclaw::cli
