#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>

#include "fireclaw/export.hpp"
#include "fireclaw/vm.hpp"

namespace fireclaw {

/// Describes the workspace to create.
struct WorkspaceConfig {
  /// 1–64 of a-z A-Z 0-9 . _ -, starting with a letter or digit.
  std::string name;
  /// Size in MiB, 16–16777216. The disk is sparse: it takes room on the host only for its content.
  std::uint64_t size_mib = 64;
  /// The user id in machines that owns its files; the default is user "agent" of the agents' image.
  std::uint32_t uid = 1000;
  /// The group id in machines that owns its files.
  std::uint32_t gid = 1000;

  /// Equal in all members.
  bool operator==(const WorkspaceConfig&) const = default;
};

/// What is known of a workspace.
struct WorkspaceInfo {
  /// Its name.
  std::string name;
  /// The size of its disk as machines see it.
  std::uint64_t size_bytes = 0;
  /// Bytes used on it, by files and by the file system itself. Lags behind while a machine writes.
  std::uint64_t used_bytes = 0;
  /// The room that it takes on the host.
  std::uint64_t disk_bytes = 0;
  /// When it was made.
  std::chrono::system_clock::time_point created;
  /// The user id that owns its files.
  std::uint32_t uid = 0;
  /// The group id that owns its files.
  std::uint32_t gid = 0;
  /// Whether a machine or a process uses it now.
  bool in_use = false;
  /// The id of the machine that uses it; empty: none.
  std::string vm;
  /// Whether its last machine unmounted it in order. False while a machine uses it, and after a crash: it is then
  /// repaired before its next use.
  bool clean = false;
  /// Why it cannot be used, one line; empty if it can.
  std::string problem;
};

/// What Workspace::check() found and did.
struct WorkspaceCheck {
  /// Whether something was damaged and has been repaired.
  bool repaired = false;
  /// What was found and done, one line; empty if nothing was.
  std::string report;
};

/// A disk that outlives machines: an ext4 file system in a file, with a name. One machine at a time uses it, at
/// /workspace (VMConfig::workspace). A new one holds MEMORY.md and an empty folder memory.
///
/// Files are read and written by the guest of the machine that uses it. If none does, a small machine is started for
/// the call (Error(InvalidState) before setup), and a change is made as a whole or not at all. Paths are relative to
/// the disk's root; a leading "/" changes nothing. If another process holds the disk without a running machine, a call
/// waits up to 20 seconds, then throws Error(InvalidState) naming the holder. A guest can put anything on its disk;
/// still, a call writes nothing outside the paths that it was given.
///
/// An object holds a name and the host: copies are the same workspace, no lock is held between calls, and several
/// threads can use it.
class FIRECLAW_API Workspace {
 public:
  /// The same workspace.
  Workspace(const Workspace&);
  /// Takes it over. The moved-from object may only be destroyed or assigned to.
  Workspace(Workspace&&) noexcept;
  /// As the constructors.
  Workspace& operator=(const Workspace&);
  /// As the constructors.
  Workspace& operator=(Workspace&&) noexcept;
  /// Leaves the workspace as it is.
  ~Workspace();

  /// Its name.
  [[nodiscard]] const std::string& name() const;
  /// What is known of it now. Error(NotFound) if it has been removed.
  [[nodiscard]] WorkspaceInfo info() const;

  /// Checks the file system and repairs damage; files that lost their names are then in the folder lost+found.
  /// Error(InvalidState) while it is in use, Error(Corrupt) if it is beyond repair.
  WorkspaceCheck check();
  /// Makes it larger or smaller. Error(InvalidState) while it is in use, or if its content does not fit: the message
  /// then names the least size.
  void resize(std::uint64_t size_mib);

  /// Copies a host file or folder in, as cp -a does: an existing folder at `target` receives it under its own name.
  /// The copy belongs to the workspace's owner. Sockets, pipes and devices are left out.
  CopyResult push(const std::filesystem::path& source, const std::string& target, std::stop_token stop = {});
  /// Copies a file or folder out to the host, likewise. The copy belongs to the calling user.
  CopyResult pull(const std::string& source, const std::filesystem::path& target, std::stop_token stop = {});
  /// Reads a file. Error(InvalidArgument) if it is longer than `max_bytes`, or not a file.
  [[nodiscard]] std::string read_file(const std::string& path, std::size_t max_bytes = std::size_t{1} << 20) const;
  /// Writes or replaces a file; the folder it is in must exist.
  void write_file(const std::string& path, std::string_view content, unsigned mode = 0644);
  /// Removes a file, or a folder with its content. Error(NotFound) if there is none.
  void remove_path(const std::string& path);

  /// Writes its content as a tar to a descriptor (it can be a pipe), with owners, modes and times. Sockets,
  /// device nodes, set-id bits and extended attributes are left out.
  void export_tar(int fd, std::stop_token stop = {}) const;
  /// The same with device nodes, set-id bits and capabilities. If root unpacks it, programs have the rights that a
  /// guest chose. Error(Unsupported) if the guest's guestd is too old to tell capabilities.
  void export_raw_tar(int fd, std::stop_token stop = {}) const;
  /// Unpacks a tar, plain or compressed, over its content, with the owners that the tar names.
  void import_tar(int fd, std::stop_token stop = {});

  struct Impl;

 private:
  explicit Workspace(std::shared_ptr<const Impl> impl);
  std::shared_ptr<const Impl> impl_;
  friend class Workspaces;
};

}  // namespace fireclaw
