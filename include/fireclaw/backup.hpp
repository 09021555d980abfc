#pragma once

#include <cstdint>
#include <filesystem>
#include <stop_token>
#include <string>
#include <vector>

#include "fireclaw/export.hpp"

namespace fireclaw {

class Host;

/// What Backup::create() takes along.
struct BackupOptions {
  /// Also secrets.json, and the passwords and keys in configuration and templates, in plain text.
  bool secrets = false;
  /// Also workspaces, and the scratch disks of machines with names.
  bool disks = true;
  /// Cancels it: Error(Cancelled). A backup that was begun is not left behind.
  std::stop_token stop;
};

/// What Backup::create() or Backup::restore() did.
struct BackupReport {
  /// Paths of files, relative to the home folder.
  std::vector<std::string> files;
  /// What these take on disk.
  std::uint64_t bytes = 0;
  /// What is not there, one line each: secrets, disks that could not be copied.
  std::vector<std::string> left_out;
};

/// What of a home folder cannot be built again: configuration, templates, agents, machines with names, workspaces, the
/// overseer's settings and audit log. Images are built again by setup(); snapshots are saved by
/// Snapshot::export_archive().
class FIRECLAW_API Backup {
 public:
  /// Copies it to `folder`, which must not exist or be empty: files as they are in the home folder, and backup.json
  /// with their SHA-256. Disks are copied as they are at one moment each; a machine that uses one is paused meanwhile.
  /// Error(AlreadyExists); Error(Io) if there is too little room.
  static BackupReport create(const Host& host, const std::filesystem::path& folder, const BackupOptions& options = {});
  /// Puts back what create() copied. All files are checked before the first one is written: Error(Corrupt) names one
  /// that is damaged, Error(InvalidArgument) what does not belong there, Error(AlreadyExists) what is in the home
  /// folder already. Agents and machines are stopped then; what setup() found out is not restored.
  static BackupReport restore(const Host& host, const std::filesystem::path& folder, std::stop_token stop = {});
};

}  // namespace fireclaw
