#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <utility>

#include "core/host/impl.hpp"
#include "sys/file.hpp"

namespace fireclaw::core {

/// A use of a machine with a name: while it exists, the machine is not paused as idle. Idle time counts from its end.
class MachineUse {
 public:
  /// Waits until nobody is pausing the machine with this key (MachineRecord::key).
  static MachineUse begin(const Host::Impl& host, const std::string& key);
  MachineUse(MachineUse&& other) noexcept : lock_{std::exchange(other.lock_, std::nullopt)} {}
  MachineUse& operator=(MachineUse&&) = delete;
  ~MachineUse();

 private:
  explicit MachineUse(sys::FileLock lock) : lock_{std::move(lock)} {}
  std::optional<sys::FileLock> lock_;
};

/// Keeps users away while it exists.
using NoMachineUse = sys::FileLock;
/// nullopt while somebody uses the machine.
std::optional<NoMachineUse> try_keep_unused(const Host::Impl& host, const std::string& key);

/// The last use; the epoch: none.
std::chrono::system_clock::time_point last_use(const Host::Impl& host, const std::string& key);
/// Counts as a use now.
void note_use(const Host::Impl& host, const std::string& key);
/// Call when the machine is removed.
void forget_use(const Host::Impl& host, const std::string& key);

}  // namespace fireclaw::core
