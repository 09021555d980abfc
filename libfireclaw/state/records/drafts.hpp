#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace fireclaw::state {

// A folder of named objects, each of which is a folder too. An object that is being made or removed is in a draft
// beside them, ".draft-<name>-<anything>", while its maker holds the name's lock.

inline constexpr std::string_view draft_prefix = ".draft-";

/// The names of all things in `directory`, whole or not.
std::vector<std::string> names_in(const std::filesystem::path& directory);

/// Removes the drafts in `directory` that nobody works on. `lock_file` gives a name's lock. Returns the removed paths.
std::vector<std::filesystem::path> remove_abandoned_drafts(
    const std::filesystem::path& directory, const std::function<std::filesystem::path(const std::string&)>& lock_file);

}  // namespace fireclaw::state
