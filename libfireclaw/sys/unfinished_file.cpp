#include "sys/unfinished_file.hpp"

#include <fmt/format.h>

#include <string_view>
#include <system_error>

#include "sys/random.hpp"

namespace fireclaw::sys {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view prefix = ".fireclaw-";
constexpr std::string_view suffix = ".tmp";

}  // namespace

fs::path unfinished_file_in(const fs::path& folder) {
  return folder / fmt::format("{}{}{}", prefix, random_hex(8), suffix);
}

std::vector<fs::path> remove_unfinished_files(const fs::path& folder, std::chrono::seconds age) {
  std::vector<fs::path> removed;
  const auto oldest = fs::file_time_type::clock::now() - age;
  std::error_code problem;
  fs::recursive_directory_iterator entry{folder, fs::directory_options::skip_permission_denied, problem};
  for (; !problem && entry != fs::recursive_directory_iterator{}; entry.increment(problem)) {
    const auto name = entry->path().filename().native();
    if (!name.starts_with(prefix) || !name.ends_with(suffix)) continue;
    std::error_code gone;
    if (entry->symlink_status(gone).type() != fs::file_type::regular) continue;
    const auto written = entry->last_write_time(gone);
    if (!gone && written < oldest && fs::remove(entry->path(), gone)) removed.push_back(entry->path());
  }
  return removed;
}

}  // namespace fireclaw::sys
