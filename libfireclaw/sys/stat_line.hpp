#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "sys/process.hpp"

namespace fireclaw::sys {

/// What fireclaw needs of /proc/<pid>/stat.
struct StatLine {
  char state = '?';
  std::uint64_t start_time = 0;
};

/// nullopt if the text is not such a line. Names with spaces, parentheses and newlines are understood.
std::optional<StatLine> parse_stat_line(std::string_view text);

/// Like identify(), but an ended process that nobody has waited for yet counts too.
std::optional<ProcessId> identify_even_ended(pid_t pid);
/// Like open_pidfd(), but also of one whose first thread has ended while others are still being taken down. Readable
/// once all have.
std::optional<Fd> open_pidfd_even_ended(const ProcessId& id);

}  // namespace fireclaw::sys
