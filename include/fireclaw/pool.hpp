#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <stop_token>

#include "fireclaw/export.hpp"
#include "fireclaw/vm.hpp"

namespace fireclaw {

/// Describes the machines that a Pool keeps ready.
struct PoolConfig {
  /// The machines' configuration. They are never detached: they end with the pool, or with the handle that take()
  /// returned.
  VMConfig machine;
  /// How many are kept ready, 1 to 1024.
  std::size_t size = 2;

  /// Equal in all members.
  bool operator==(const PoolConfig&) const = default;
};

/// Machines that are started ahead (VMs::pool()), so that a command does not wait for a start. Each is given out once,
/// and another one is started in its place in the background. Destruction ends those that were not taken. Members can
/// be called from several threads.
class FIRECLAW_API Pool {
 public:
  /// Takes the pool over. The moved-from object may only be destroyed or assigned to.
  Pool(Pool&&) noexcept;
  /// The same, after ending the machines that were ready here.
  Pool& operator=(Pool&&) noexcept;
  /// Ends the machines that were not taken.
  ~Pool();

  /// Gives out a ready machine, or waits for the next one. It has answered, and has run a command that does nothing.
  /// Error(Timeout); Error(Cancelled); if none is ready and a start has failed since the last take(), what that start
  /// threw.
  VM take(std::chrono::milliseconds timeout = std::chrono::seconds{60}, std::stop_token stop = {});
  /// How many are ready.
  [[nodiscard]] std::size_t ready() const;

  struct Impl;

 private:
  explicit Pool(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
  friend class VMs;
};

}  // namespace fireclaw
