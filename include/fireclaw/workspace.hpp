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
  /// Size in MiB, 16–16777216. Sparse: it takes on the host what is in it.
  std::uint64_t size_mib = 64;
  /// User id in machines that its files belong to; the default is user "agent" of the agents' image.
  std::uint32_t uid = 1000;
  /// Group id in machines that its files belong to.
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
  /// Used inside, by files and by the file system itself. Lags behind while a machine writes.
  std::uint64_t used_bytes = 0;
  /// What it takes on the host.
  std::uint64_t disk_bytes = 0;
  /// When it was made.
  std::chrono::system_clock::time_point created;
  /// User id that its files belong to.
  std::uint32_t uid = 0;
  /// Group id that its files belong to.
  std::uint32_t gid = 0;
  /// A machine or a process has it right now.
  bool in_use = false;
  /// The id of the machine that has it; empty if it is none.
  std::string vm;
  /// Its last user unmounted it in order. False while a machine has it, and after one crashed: it is then repaired
  /// before its next use.
  bool clean = false;
  /// Why it cannot be used, one line; empty for a whole one.
  std::string problem;
};

/// What Workspace::check() found and did.
struct WorkspaceCheck {
  /// Something was damaged and has been repaired.
  bool repaired = false;
  /// What was found and done, one line; empty if nothing was.
  std::string report;
};

/// A disk that outlives machines: an ext4 file system in a file, with a name. One machine at a time has it, at
/// /workspace (VMConfig::workspace). A new one holds MEMORY.md and an empty folder memory.
///
/// Files go in and out through the guest of the machine that has it. If none has, a small machine is started for the
/// call (Error(InvalidState) before setup), and a change happens wholly or not at all. Paths inside are relative to the
/// disk's root; a leading "/" changes nothing. While another process has the disk, and not for a running machine, a
/// call waits up to 20 seconds and then throws Error(InvalidState) naming the holder. A guest can put anything on its
/// disk; a call still writes nothing outside what it names.
///
/// An object is a name and the host: copies are the same workspace, no lock is held between calls, and several threads
/// may use it.
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

  /// Looks at everything and repairs what is damaged; what was lost is then in the folder lost+found.
  /// Error(InvalidState) while somebody has it, Error(Corrupt) if it is beyond repair.
  WorkspaceCheck check();
  /// Makes it larger or smaller. Error(InvalidState) while somebody has it, or, naming the least size, if its content
  /// does not fit.
  void resize(std::uint64_t size_mib);

  /// Copies a host file or folder in, as cp -a does: an existing folder at `target` receives it under its own name.
  /// It then belongs to the workspace's owner. Sockets, pipes and devices are passed over.
  CopyResult push(const std::filesystem::path& source, const std::string& target, std::stop_token stop = {});
  /// The other way. The copy belongs to the calling user.
  CopyResult pull(const std::string& source, const std::filesystem::path& target, std::stop_token stop = {});
  /// A file's content. Error(InvalidArgument) if it is longer than `max_bytes`, or no file.
  [[nodiscard]] std::string read_file(const std::string& path, std::size_t max_bytes = std::size_t{1} << 20) const;
  /// Writes or replaces a file; the folder it is in must exist.
  void write_file(const std::string& path, std::string_view content, unsigned mode = 0644);
  /// Removes a file, or a folder with all in it. Error(NotFound) if there is none.
  void remove_path(const std::string& path);

  /// Writes all that is in it as a tar to a descriptor (it may be a pipe), with owners, modes and times. Sockets,
  /// device nodes, set-id bits and extended attributes are left out.
  void export_tar(int fd, std::stop_token stop = {}) const;
  /// The same with device nodes, set-id bits and capabilities: unpacked by root, it gives the rights that a guest
  /// chose. Error(Unsupported) if the guest's guestd is too old to tell capabilities.
  void export_raw_tar(int fd, std::stop_token stop = {}) const;
  /// Unpacks a tar, plain or compressed, over what is in it, with the owners that the tar says.
  void import_tar(int fd, std::stop_token stop = {});

  struct Impl;

 private:
  explicit Workspace(std::shared_ptr<const Impl> impl);
  std::shared_ptr<const Impl> impl_;
  friend class Workspaces;
};

}  // namespace fireclaw
