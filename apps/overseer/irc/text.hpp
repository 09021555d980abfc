#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/text/quantities.hpp"
#include "common/text/text.hpp"

namespace fireclaw::overseer {

using cli::human_age;
using cli::human_bytes;
using cli::shorten;
using cli::utf8_length;

/// Makes text fit to be one line on IRC and in a log: no control characters, colours or direction marks; line breaks
/// and tabs become spaces; bytes that are not UTF-8 become U+FFFD.
std::string clean_line(std::string_view text);
/// The lines of a text, each through clean_line(), empty ones left out.
std::vector<std::string> clean_lines(std::string_view text);
/// Cuts a clean line into pieces of at most `room` bytes: between words, unless one is longer than a line; never inside
/// what people see as one character, unless that does not fit alone.
std::vector<std::string> wrap(std::string_view line, std::size_t room);

/// A nick or channel as IRC compares them; by the widest rule, RFC 1459's.
std::string fold(std::string_view name);
/// Letters alone made small: two names that only some servers take for the same stay two. For questions of trust.
std::string fold_letters(std::string_view name);
/// Whether `text` fits a mask with * and ?, compared as by fold_letters().
bool matches(std::string_view mask, std::string_view text);

/// "2026-01-31T12:00:00.250Z"
std::string iso_time_ms(std::chrono::system_clock::time_point time);

}  // namespace fireclaw::overseer
