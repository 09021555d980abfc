#pragma once

#include <filesystem>
#include <string>

#include "state/layout.hpp"

namespace fireclaw::gateway {

// Where the gateway's files are in a home folder.

/// Keys and passwords.
inline std::filesystem::path secrets_file(const state::Layout& layout) { return layout.home() / "secrets.json"; }
/// What machines were refused.
inline std::filesystem::path refusals_file(const state::Layout& layout) {
  return layout.home() / "network" / "refusals.jsonl";
}

/// The network of a home folder that a gateway serves: both can be up at once, each with its own machines.
enum class Place { Host, Anchor };

struct Files {
  /// The gateway that runs.
  std::filesystem::path record;
  /// What each agent has used of the day's limits.
  std::filesystem::path usage;
  /// Where it says how it is.
  std::filesystem::path status_socket;
  /// Both write to one.
  std::filesystem::path log;
  /// Is held for as long as it lives.
  std::filesystem::path lock;
};

inline Files files_of(const state::Layout& layout, Place place) {
  const std::string name = place == Place::Host ? "gateway" : "gateway-anchor";
  const auto file = [&](const char* ending) { return layout.home() / (name + ending); };
  return {file(".json"), file("-usage.json"), file(".sock"), layout.home() / "gateway.log", layout.lock(name)};
}

}  // namespace fireclaw::gateway
