#include "state/records/drafts.hpp"

#include <algorithm>

#include "sys/file.hpp"

namespace fireclaw::state {

std::vector<std::string> names_in(const std::filesystem::path& directory) {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator{directory, error}) {
    if (const std::string name = entry.path().filename(); !name.starts_with('.')) names.push_back(name);
  }
  std::ranges::sort(names);
  return names;
}

std::vector<std::filesystem::path> remove_abandoned_drafts(
    const std::filesystem::path& directory, const std::function<std::filesystem::path(const std::string&)>& lock_file) {
  std::vector<std::filesystem::path> removed;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator{directory, error}) {
    const std::string folder = entry.path().filename();
    if (!folder.starts_with(draft_prefix)) continue;
    // A maker holds its name's lock; without one at work, the draft is a leftover.
    const auto name = folder.substr(draft_prefix.size(), folder.rfind('-') - draft_prefix.size());
    const auto lock = sys::FileLock::try_acquire(lock_file(name), sys::FileLock::Mode::Exclusive);
    if (!lock) continue;
    sys::remove_tree(entry.path());
    removed.push_back(entry.path());
  }
  return removed;
}

}  // namespace fireclaw::state
