#pragma once

#include <cstdlib>
#include <filesystem>

#include <fireclaw/host.hpp>

/// The home folder that the command line uses: $FIRECLAW_HOME, or ~/.fireclaw. The library itself reads nothing from
/// the environment.
inline fireclaw::Host open_host() {
  const char* home = std::getenv("FIRECLAW_HOME");
  const char* user = std::getenv("HOME");
  fireclaw::HostOptions options;
  options.home = home != nullptr ? std::filesystem::path{home} : std::filesystem::path{user} / ".fireclaw";
  return fireclaw::Host::open(options);
}
