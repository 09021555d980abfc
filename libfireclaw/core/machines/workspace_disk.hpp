#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "core/host/impl.hpp"
#include "image/tools.hpp"
#include "state/records/runs.hpp"
#include "sys/file.hpp"

/// The disks of workspaces, and their locks: one user at a time, a machine or a process that works on the file.
namespace fireclaw::core {

/// A workspace's disk, and the lock that reserves it.
struct WorkspaceDisk {
  std::filesystem::path image;
  std::uint64_t bytes = 0;
  /// Given to the engine to keep open, it reserves the disk for exactly as long as the engine lives.
  sys::FileLock lock;
};

/// Reserves the workspace for a machine and checks its disk, repairing damage of an earlier crash. Error(NotFound) if
/// there is none of that name, Error(InvalidState) naming the machine or process that has it, Error(Corrupt) if it is
/// beyond repair.
WorkspaceDisk claim_workspace(const Host::Impl& host, const std::string& name);

/// Checks the disk of a workspace whose lock the caller has, and repairs damage of an earlier crash, with a warning.
/// Error(Corrupt) if it is beyond repair.
void repair_workspace(const Host::Impl& host, const std::string& name);

/// Takes the lock of the name, with a note in it of the holder and its purpose ("a machine", "copying files"). Waits up
/// to 20 seconds for others that work on the disk, then Error(InvalidState) naming the holder; at once if a machine has
/// it. The workspace need not exist.
sys::FileLock lock_workspace(const Host::Impl& host, const std::string& name, std::string_view purpose);
/// The same, but nullopt as soon as workspace_user() has it. Error(Cancelled).
std::optional<sys::FileLock> wait_for_workspace(const Host::Impl& host, const std::string& name,
                                                std::string_view purpose, const std::stop_token& stop = {});
/// The same without waiting: nullopt if somebody has it.
std::optional<sys::FileLock> try_lock_workspace(const Host::Impl& host, const std::string& name,
                                                std::string_view purpose);
/// The running machine that has the workspace.
std::optional<state::RunRecord> workspace_user(const Host::Impl& host, const std::string& name);
/// The Error(InvalidState) that names the workspace's holder, as far as it is known.
Error workspace_in_use(const Host::Impl& host, const std::string& name);
/// Error(NotFound) with the remedy if there is none of that name.
state::WorkspaceRecord require_workspace(const Host::Impl& host, const std::string& name);

/// e2fsprogs and the folders that they may write to, for work on workspaces and scratch disks.
image::Tools disk_tools(const Host::Impl& host, std::stop_token stop = {});

}  // namespace fireclaw::core
