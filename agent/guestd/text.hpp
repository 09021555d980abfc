#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace fireclaw::guestd {

/// Joins the pieces. A formatting library would be too large for guestd.
std::string cat(std::initializer_list<std::string_view> pieces);
/// The meaning of errno value `error`, in English, lower case.
std::string error_text(int error);
/// The pieces between separators, empty ones left out.
std::vector<std::string_view> split(std::string_view text, char separator);
/// Decimal digits only, at most `max`.
bool parse_number(std::string_view text, unsigned long max, unsigned long& value);

/// The whole file, or false with errno set. For files of /proc, /etc and the like.
bool read_file(const char* path, std::string& content);
/// Creates or overwrites; false with errno set.
bool write_file(const char* path, std::string_view content, unsigned mode = 0644);

/// A line on the console, for readers of the machine's log.
void log(std::initializer_list<std::string_view> pieces);

}  // namespace fireclaw::guestd
