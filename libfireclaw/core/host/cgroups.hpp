#pragma once

#include <filesystem>
#include <string>

#include "base/logger.hpp"
#include "sys/cgroup.hpp"
#include "sys/process.hpp"

namespace fireclaw::core {

/// Limits of a machine's engine: the machine's memory, and the measured need of engines beside it. TCG keeps up to
/// 1 GiB of translated code.
sys::CgroupLimits machine_limits(const std::string& engine, unsigned memory_mib, unsigned cpus);

/// Makes a cgroup for machine `id`, with these limits; empty if none can be made, which doctor reports.
std::filesystem::path make_machine_cgroup(const std::string& id, const sys::CgroupLimits& limits);

/// Removes a machine's cgroup, after its engine's end; failures are logged. An empty path is fine.
void remove_machine_cgroup(const std::filesystem::path& folder, const Logger& logger) noexcept;

/// Moves a helper out of the service that it was started in, so that a restart of the service does not find it there.
/// It stays if there is no other place.
void outlive_service(const sys::ProcessId& helper);

}  // namespace fireclaw::core
