#pragma once

#include <filesystem>
#include <memory>
#include <stop_token>

#include "core/machines/impl.hpp"

namespace fireclaw::core {

enum class DiskUse { Read, Write };

/// A small machine with a workspace's disk at workspace_mount: no network, the built-in image. It ends with this
/// object. It is restored from a snapshot that serves disks of all sizes; the first machine makes that snapshot.
class DiskMachine {
 public:
  /// `lock`: the descriptor of the disk's lock, which the engine keeps open; negative: none. Error(InvalidState) before
  /// setup.
  DiskMachine(const std::shared_ptr<Host::Impl>& host, const std::filesystem::path& disk, int lock, DiskUse use,
              const std::stop_token& stop);

  [[nodiscard]] const std::shared_ptr<VM::Impl>& vm() const { return vm_; }
  /// Unmounts the disk and ends the machine: all changes are then on the disk, which is clean. Without this call they
  /// may be lost.
  void finish();

 private:
  std::filesystem::path disk_;
  std::shared_ptr<VM::Impl> vm_;
};

}  // namespace fireclaw::core
