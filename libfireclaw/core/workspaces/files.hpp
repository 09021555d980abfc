#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>

#include "core/host/impl.hpp"
#include "core/machines/impl.hpp"
#include "fireclaw/vm.hpp"
#include "state/records/workspaces.hpp"
#include "sys/file.hpp"

/// The files of a workspace. A guest may have made the file system, so only guests read it.
namespace fireclaw::core {

/// Whether an exported tar keeps device nodes, set-id bits and capabilities.
enum class Rights { LeaveOut, Keep };

/// The calls are those of fireclaw::Workspace; paths are normal ("memory/notes.md", the root is ""). Used by one
/// thread.
class WorkspaceFiles {
 public:
  virtual ~WorkspaceFiles() = default;

  virtual CopyResult push(const std::filesystem::path& source, const std::string& target) = 0;
  virtual CopyResult pull(const std::string& source, const std::filesystem::path& target) = 0;
  virtual std::string read_file(const std::string& path, std::size_t max_bytes) = 0;
  virtual void write_file(const std::string& path, std::string_view content, unsigned mode) = 0;
  virtual void remove_path(const std::string& path) = 0;
  virtual void export_tar(int fd, Rights rights) = 0;
  virtual void import_tar(int fd) = 0;
};

/// Opens the workspace of that name: through the machine that has it, else through one that is started for it. The
/// lock's note says `purpose`. Error(NotFound); Error(InvalidState) naming the holder if that is not a
/// machine.
std::unique_ptr<WorkspaceFiles> open_files(const std::shared_ptr<Host::Impl>& host, const std::string& name,
                                           std::string_view purpose, std::stop_token stop);

/// Through a guest that has the disk at workspace_mount.
std::unique_ptr<WorkspaceFiles> files_in_guest(std::shared_ptr<VM::Impl> machine, state::WorkspaceRecord record,
                                               std::stop_token stop);
/// Through a new machine for each call that changes something, and one machine for all other calls. `lock` reserves the
/// disk. Changes are made on a copy, as a whole or not at all.
std::unique_ptr<WorkspaceFiles> files_in_machine(std::shared_ptr<Host::Impl> host, state::WorkspaceRecord record,
                                                 sys::FileLock lock, std::stop_token stop);

/// Makes the disk of a new workspace with an empty memory. `scratch`: a folder for temporary files, on the same file
/// system.
void make_workspace_disk(const std::shared_ptr<Host::Impl>& host, const std::filesystem::path& disk,
                         const state::WorkspaceRecord& record, std::uint64_t bytes,
                         const std::filesystem::path& scratch);
/// Makes one that holds only what is in the tar.
void make_workspace_disk_of_tar(const std::shared_ptr<Host::Impl>& host, const std::filesystem::path& disk,
                                const state::WorkspaceRecord& record, std::uint64_t bytes, int tar,
                                const std::stop_token& stop);

/// Where machines find their workspace.
inline constexpr std::string_view workspace_mount = "/workspace";

}  // namespace fireclaw::core
