#pragma once

#include <filesystem>

#include "sys/fd.hpp"
#include "vmm/driver.hpp"
#include "vmm/qemu/qmp.hpp"

namespace fireclaw::vmm::qemu {

/// The files of a machine in its run folder.
struct RunDir {
  std::filesystem::path path;

  [[nodiscard]] std::filesystem::path qmp_socket() const { return path / "qmp.sock"; }
  /// Held while a process talks QMP: QEMU serves one client at a time.
  [[nodiscard]] std::filesystem::path qmp_lock() const { return path / "qmp.lock"; }
  [[nodiscard]] std::filesystem::path guest_socket(unsigned channel) const;
  /// Held while a process uses the channel.
  [[nodiscard]] std::filesystem::path guest_lock(unsigned channel) const;
  /// What QEMU itself prints: a TextPipe.
  [[nodiscard]] std::filesystem::path log() const { return path / "log.pipe"; }
};

/// The right to use a guest channel, given back when the descriptor is closed; nullopt if somebody else has it.
std::optional<sys::Fd> claim_channel(const RunDir& run_dir, unsigned channel);

/// A connection over any free guest channel, for which it waits. Error(Timeout) if all stay in use.
GuestStream connect_free_channel(const RunDir& run_dir, const Wait& wait);

}  // namespace fireclaw::vmm::qemu
