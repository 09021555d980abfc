#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>

#include "core/host/impl.hpp"
#include "fireclaw/vm.hpp"
#include "image/archives/file_tree.hpp"
#include "state/runs.hpp"
#include "state/workspaces.hpp"
#include "sys/file.hpp"

/// The files of a workspace, reached in one of two ways.
namespace fireclaw::core {

/// The calls are those of fireclaw::Workspace; paths are normal ("memory/notes.md", the root is ""). Used for one call,
/// by one thread.
class WorkspaceFiles {
 public:
  virtual ~WorkspaceFiles() = default;

  virtual CopyResult push(const std::filesystem::path& source, const std::string& target) = 0;
  virtual CopyResult pull(const std::string& source, const std::filesystem::path& target) = 0;
  virtual std::string read_file(const std::string& path, std::size_t max_bytes) = 0;
  virtual void write_file(const std::string& path, std::string_view content, unsigned mode) = 0;
  virtual void remove_path(const std::string& path) = 0;
  virtual void export_tar(int fd) = 0;
  virtual void import_tar(int fd) = 0;
};

/// Through the disk's file, which `lock` reserves.
std::unique_ptr<WorkspaceFiles> files_on_disk(std::shared_ptr<const Host::Impl> host, state::WorkspaceRecord record,
                                              sys::FileLock lock, std::stop_token stop);
/// Through the guest of the machine that has the workspace.
std::unique_ptr<WorkspaceFiles> files_in_guest(std::shared_ptr<Host::Impl> host, state::WorkspaceRecord record,
                                               state::RunRecord machine, std::stop_token stop);

/// Makes the disk of a new workspace, in a draft whose name's lock the caller holds, and puts `content` on it.
void make_workspace_disk(const Host::Impl& host, const std::filesystem::path& draft,
                         const state::WorkspaceRecord& record, std::uint64_t bytes, const image::Tree& content,
                         std::stop_token stop);

/// Where machines find their workspace.
inline constexpr std::string_view workspace_mount = "/workspace";

}  // namespace fireclaw::core
