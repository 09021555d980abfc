#include "sys/usage.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <charconv>
#include <string>
#include <string_view>

#include "base/number.hpp"
#include "fireclaw/error.hpp"
#include "sys/file.hpp"

namespace fireclaw::sys {
namespace {

/// Fields 14, 15 and 24 of /proc/<pid>/stat, counted from the one after the name, which is field 3.
constexpr int utime_field = 14 - 3;
constexpr int stime_field = 15 - 3;
constexpr int rss_field = 24 - 3;

std::uint64_t field(std::string_view fields, int number) {
  for (; number > 0; --number) {
    const auto space = fields.find(' ');
    if (space == std::string_view::npos) return 0;
    fields.remove_prefix(space + 1);
  }
  std::uint64_t value = 0;
  std::from_chars(fields.data(), fields.data() + fields.size(), value);
  return value;
}

bool is_in(const std::filesystem::path& path, const std::filesystem::path& folder) {
  const auto& text = path.native();
  const auto& prefix = folder.native();
  return text == prefix || (text.size() > prefix.size() && text.starts_with(prefix) && text[prefix.size()] == '/');
}

}  // namespace

std::optional<Usage> usage_of(const ProcessId& id) {
  std::string text;
  try {
    text = read_file(fmt::format("/proc/{}/stat", id.pid));
  } catch (const Error&) {
    return std::nullopt;
  }
  const auto name_end = text.rfind(')');
  // After the file was read: what was read was this process's, then.
  if (name_end == std::string::npos || name_end + 2 >= text.size() || !is_alive(id)) return std::nullopt;
  const auto fields = std::string_view{text}.substr(name_end + 2);
  const auto ticks = field(fields, utime_field) + field(fields, stime_field);
  const auto ticks_per_second = static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
  const auto page_bytes = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  Usage usage;
  usage.resident_bytes = field(fields, rss_field) * page_bytes;
  usage.cpu_time = std::chrono::nanoseconds{ticks * (1'000'000'000U / ticks_per_second)};
  return usage;
}

std::vector<ProcessId> processes_in(const std::filesystem::path& folder) {
  std::vector<ProcessId> found;
  std::error_code error;
  const auto real = std::filesystem::weakly_canonical(folder, error);
  if (error) return found;
  for (const auto& entry : std::filesystem::directory_iterator{"/proc", error}) {
    const auto pid = parse_number<pid_t>(entry.path().filename().native());
    if (!pid) continue;
    const auto id = identify(*pid);
    std::error_code hidden;
    auto cwd = std::filesystem::read_symlink(entry.path() / "cwd", hidden).native();
    if (!id || hidden) continue;
    // A folder that was removed meanwhile is shown with a mark behind its name.
    constexpr std::string_view mark = " (deleted)";
    if (cwd.ends_with(mark)) cwd.resize(cwd.size() - mark.size());
    if (is_in(cwd, real)) found.push_back(*id);
  }
  return found;
}

}  // namespace fireclaw::sys
