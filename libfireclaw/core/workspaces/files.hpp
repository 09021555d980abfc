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

/// The files of a workspace. A guest may have made the file system, so only guests look at it.
namespace fireclaw::core {

/// What becomes of device nodes, set-id bits and capabilities in an exported tar.
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

/// Of the workspace that goes by that name: through the machine that has it, else through one that is started for it.
/// `purpose` is what the lock's note says. Error(NotFound); Error(InvalidState) naming who has it, if that is not a
/// machine.
std::unique_ptr<WorkspaceFiles> open_files(const std::shared_ptr<Host::Impl>& host, const std::string& name,
                                           std::string_view purpose, std::stop_token stop);

/// Through a guest that has the disk at workspace_mount.
std::unique_ptr<WorkspaceFiles> files_in_guest(std::shared_ptr<VM::Impl> machine, state::WorkspaceRecord record,
                                               std::stop_token stop);
/// Through a machine of its own for each call that changes something, and one for all that do not. `lock` reserves the
/// disk. What is changed is a copy: a change is made wholly or not at all.
std::unique_ptr<WorkspaceFiles> files_in_machine(std::shared_ptr<Host::Impl> host, state::WorkspaceRecord record,
                                                 sys::FileLock lock, std::stop_token stop);

/// Makes the disk of a new workspace: an empty memory, owned by its owner. `scratch`: a folder for what is needed on
/// the way, on the same file system.
void make_workspace_disk(const std::shared_ptr<Host::Impl>& host, const std::filesystem::path& disk,
                         const state::WorkspaceRecord& record, std::uint64_t bytes,
                         const std::filesystem::path& scratch);
/// Makes one that holds what is in the tar, and nothing else.
void make_workspace_disk_of_tar(const std::shared_ptr<Host::Impl>& host, const std::filesystem::path& disk,
                                const state::WorkspaceRecord& record, std::uint64_t bytes, int tar,
                                const std::stop_token& stop);

/// Where machines find their workspace.
inline constexpr std::string_view workspace_mount = "/workspace";

}  // namespace fireclaw::core
