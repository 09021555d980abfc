#pragma once

#include <cstdint>
#include <stop_token>
#include <string>
#include <vector>

namespace fireclaw {

/// What Host::back_up() copies.
struct BackupOptions {
  /// Include secrets.json, and the passwords and keys in configuration and templates, in plain text.
  bool secrets = false;
  /// Include workspaces, and the scratch disks of machines with names.
  bool disks = true;
  /// Cancels it: Error(Cancelled). A begun backup is removed.
  std::stop_token stop{};
};

/// What Host::back_up() or Host::restore() did.
struct BackupReport {
  /// Paths of files, relative to the home folder.
  std::vector<std::string> files;
  /// Their size on disk.
  std::uint64_t bytes = 0;
  /// What was left out, one line each: secrets, disks that could not be copied.
  std::vector<std::string> left_out;
};

}  // namespace fireclaw
