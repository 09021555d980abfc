#pragma once

#include <filesystem>
#include <string>

#include "base/logger.hpp"
#include "sys/cgroup.hpp"
#include "sys/process.hpp"

namespace fireclaw::core {

/// What a machine's engine may take: the machine's memory, and what was seen that engines need beside it. TCG keeps
/// what it has translated, up to 1 GiB.
sys::CgroupLimits machine_limits(const std::string& engine, unsigned memory_mib, unsigned cpus);

/// A cgroup for machine `id`, with these limits; empty where there are none to be had, which doctor says.
std::filesystem::path make_machine_cgroup(const std::string& id, const sys::CgroupLimits& limits);

/// Removes a machine's cgroup, after its engine's end; what fails is said to the log. An empty path is fine.
void remove_machine_cgroup(const std::filesystem::path& folder, const Logger& logger) noexcept;

/// Takes a helper out of the service that it was started in, so that starting that again does not find it there. It
/// stays where there is no other place.
void outlive_service(const sys::ProcessId& helper);

}  // namespace fireclaw::core
