#pragma once

#include <cstdint>
#include <memory>
#include <stop_token>
#include <string_view>

#include "base/deadline.hpp"
#include "core/host/impl.hpp"
#include "core/machines/purpose.hpp"
#include "fireclaw/vm.hpp"
#include "state/settings/templates.hpp"

namespace fireclaw::core {

// The machines that agents run in, and the snapshots they are restored from.

inline constexpr std::string_view default_image = "debian-agent";
inline constexpr unsigned default_memory_mib = 384;
inline constexpr std::uint64_t default_workspace_mib = 64;
inline constexpr std::uint64_t default_scratch_mib = 2048;

/// Image, size and scratch disk as the template has them.
VMConfig agent_machine(const state::Template& from);

/// Prepares the guest for an agent (prepare_agent), by `deadline`.
Purpose agent_purpose(Deadline deadline, std::stop_token stop);

/// Makes the snapshot that agents with such a machine are restored from, unless it is there. If it cannot be made, the
/// reason is logged: they boot then. Error(Cancelled) after a stop.
void ensure_agent_snapshot(const std::shared_ptr<Host::Impl>& host, const VMConfig& machine, const Purpose& purpose,
                           const StartOptions& waiting);

/// ensure_agent_snapshot() for every template that uses the default image. Returns whether one was made.
bool ensure_agent_snapshots(const std::shared_ptr<Host::Impl>& host, NetworkMode network, const std::stop_token& stop);

}  // namespace fireclaw::core
