#pragma once

#include <filesystem>

#include "state/layout.hpp"

namespace fireclaw::gateway {

// Where the gateway's files are in a home folder.

/// Keys and passwords.
inline std::filesystem::path secrets_file(const state::Layout& layout) { return layout.home() / "secrets.json"; }
/// The gateway that runs.
inline std::filesystem::path record_file(const state::Layout& layout) { return layout.home() / "gateway.json"; }
/// What each agent has used of the day's limits.
inline std::filesystem::path usage_file(const state::Layout& layout) { return layout.home() / "gateway-usage.json"; }
/// What machines were refused.
inline std::filesystem::path refusals_file(const state::Layout& layout) {
  return layout.home() / "network" / "refusals.jsonl";
}
/// Where it says how it is.
inline std::filesystem::path status_socket(const state::Layout& layout) { return layout.home() / "gateway.sock"; }
inline std::filesystem::path log_file(const state::Layout& layout) { return layout.home() / "gateway.log"; }

}  // namespace fireclaw::gateway
