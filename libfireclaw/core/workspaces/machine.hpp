#pragma once

#include <filesystem>
#include <memory>
#include <stop_token>

#include "core/machines/impl.hpp"

namespace fireclaw::core {

enum class DiskUse { Read, Write };

/// A small machine that has a workspace's disk at workspace_mount and nothing else: no network, the built-in image, an
/// end with this object. It is restored from a snapshot that serves disks of all sizes; the first one makes that.
class DiskMachine {
 public:
  /// `lock`: the descriptor of the disk's lock, which the engine keeps open; negative: none. Error(InvalidState) before
  /// setup.
  DiskMachine(const std::shared_ptr<Host::Impl>& host, const std::filesystem::path& disk, int lock, DiskUse use,
              const std::stop_token& stop);

  [[nodiscard]] const std::shared_ptr<VM::Impl>& vm() const { return vm_; }
  /// Unmounts the disk and ends the machine: afterwards all that was done is on the disk, which is clean. Without, what
  /// was done may be lost.
  void finish();

 private:
  std::filesystem::path disk_;
  std::shared_ptr<VM::Impl> vm_;
};

}  // namespace fireclaw::core
