#include "core/workspaces/machine.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "core/machines/snapshots.hpp"
#include "core/workspaces/files.hpp"
#include "fireclaw/error.hpp"
#include "image/disks/ext4.hpp"

namespace fireclaw::core {
namespace {

/// What one snapshot serves: a guest knows its disks' sizes from when it booted, and a file system that is smaller than
/// its disk is none of its worries. A sparse file of that size is possible on every file system that homes are on.
constexpr std::uint64_t usual_room = std::uint64_t{1} << 40;
constexpr std::chrono::minutes unmount_limit{2};

VMConfig plain_machine() {
  VMConfig config;
  config.image = built_in_image;
  config.network = NetworkMode::None;
  config.hostname = "workspace";
  return config;
}

std::shared_ptr<VM::Impl> prepare(const std::shared_ptr<Host::Impl>& host, const Purpose& purpose,
                                  const std::stop_token& stop) {
  const StartOptions waiting{.stop = stop};
  auto machine = std::make_shared<VM::Impl>(host, plain_machine(), purpose, waiting);
  if (machine->snapshot) return machine;
  try {
    Purpose save;
    save.kind = Purpose::Kind::Save;
    save.workspace_bytes = purpose.disk->room;
    make_snapshot(host, plain_machine(), {}, false, std::move(save), waiting);
  } catch (const Error& problem) {
    if (problem.code() == ErrorCode::Cancelled) throw;
    host->logger.info(fmt::format("no snapshot could be made for work on workspaces: {}", problem.what()));
    return machine;
  }
  return std::make_shared<VM::Impl>(host, plain_machine(), purpose, waiting);
}

}  // namespace

DiskMachine::DiskMachine(const std::shared_ptr<Host::Impl>& host, const std::filesystem::path& disk, int lock,
                         DiskUse use, const std::stop_token& stop)
    : disk_{disk} {
  Purpose purpose;
  purpose.disk = {disk, std::max(std::filesystem::file_size(disk), usual_room), use == DiskUse::Read, lock};
  vm_ = prepare(host, purpose, stop);
  vm_->start();
}

void DiskMachine::finish() {
  const auto deadline = Deadline::after(std::chrono::nanoseconds{unmount_limit});
  vm_->session(deadline, {})->unmount(std::string{workspace_mount}, deadline);
  vm_->kill();
  if (!image::ext4_usage(disk_).clean) {
    throw Error{ErrorCode::Guest, fmt::format("the guest did not leave '{}' in order", disk_.native())};
  }
}

}  // namespace fireclaw::core
