#pragma once

#include <filesystem>
#include <string>

#include "state/layout.hpp"

namespace fireclaw::gateway {

// The paths of the gateway's files in a home folder.

/// Keys and passwords.
inline std::filesystem::path secrets_file(const state::Layout& layout) { return layout.home() / "secrets.json"; }
/// The log of refusals.
inline std::filesystem::path refusals_file(const state::Layout& layout) {
  return layout.home() / "network" / "refusals.jsonl";
}

/// The network of a home folder that a gateway serves: both can be up at once, each with its own machines.
enum class Place { Host, Anchor };

struct Files {
  /// The running gateway's record.
  std::filesystem::path record;
  /// Each agent's use of the day's limits.
  std::filesystem::path usage;
  /// The socket for its status.
  std::filesystem::path status_socket;
  /// Both write to one.
  std::filesystem::path log;
  /// Held as long as it lives.
  std::filesystem::path lock;
};

inline Files files_of(const state::Layout& layout, Place place) {
  const std::string name = place == Place::Host ? "gateway" : "gateway-anchor";
  const auto file = [&](const char* ending) { return layout.home() / (name + ending); };
  return {file(".json"), file("-usage.json"), file(".sock"), layout.home() / "gateway.log", layout.lock(name)};
}

}  // namespace fireclaw::gateway
