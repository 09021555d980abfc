#pragma once

#include <filesystem>
#include <memory>
#include <stop_token>
#include <string>

#include "core/host/impl.hpp"
#include "state/records/runs.hpp"

namespace fireclaw::core {

/// Copies the workspace's disk as it is at one moment to `target`, which must not exist: a whole file system. A machine
/// that has it is paused meanwhile, after its guest has been asked to write everything to its disks; if that machine
/// runs for an agent or has a name, the caller holds that lock.
void copy_workspace(const std::shared_ptr<Host::Impl>& host, const std::string& name,
                    const std::filesystem::path& target, const std::stop_token& stop);

/// The same for any writable disk `disk` of the running machine.
void copy_disk(const std::shared_ptr<Host::Impl>& host, const state::RunRecord& run, const std::filesystem::path& disk,
               const std::filesystem::path& target, const std::stop_token& stop);

}  // namespace fireclaw::core
