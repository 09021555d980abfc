#pragma once

#include <filesystem>
#include <optional>
#include <stop_token>
#include <string_view>

#include "base/deadline.hpp"
#include "sys/fd.hpp"

namespace fireclaw::vmm::firecracker {

/// The limits of a wait, beside its descriptor.
struct WaitLimits {
  /// Readable once the engine has ended.
  int engine_pidfd;
  Deadline deadline;
  std::stop_token stop;
};

enum class Awaited { Ready, EngineEnded };

/// Waits until `fd` is readable or, failing that, the engine has ended. Error(Timeout) or Error(Cancelled) naming
/// `what`.
Awaited await(int fd, const WaitLimits& limits, std::string_view what);

/// Connects to a port on which the guest listens, through the engine's Unix socket. nullopt if the engine hung up
/// instead of saying OK: nobody listens on the port. Nothing that the guest says after that is read.
/// Error(Vmm) if the engine has no socket there, has ended or says something else.
std::optional<sys::Fd> vsock_connect(const std::filesystem::path& socket, unsigned port, const WaitLimits& limits);

/// The connection that the guest makes to the port behind `listener`. Error(Vmm) if the engine ends before.
sys::Fd vsock_accept(int listener, const WaitLimits& limits);

}  // namespace fireclaw::vmm::firecracker
