#include "core/host/cgroups.hpp"

#include "base/units.hpp"
#include "fireclaw/error.hpp"

namespace fireclaw::core {
namespace {

constexpr std::uint64_t overhead_bytes = 256 * mib;
constexpr std::uint64_t translated_bytes = 1024 * mib;
/// Threads for CPUs, disks, and the engine itself.
constexpr unsigned threads = 64;
constexpr unsigned cpu_weight = 100;

}  // namespace

sys::CgroupLimits machine_limits(const std::string& engine, unsigned memory_mib, unsigned cpus) {
  sys::CgroupLimits limits;
  limits.memory_bytes = memory_mib * mib + overhead_bytes + (engine == "qemu-tcg" ? translated_bytes : 0);
  limits.processes = threads + cpus;
  limits.cpu_weight = cpu_weight;
  return limits;
}

std::filesystem::path make_machine_cgroup(const std::string& id, const sys::CgroupLimits& limits) {
  const auto place = sys::find_cgroups();
  return place.folder.empty() ? std::filesystem::path{} : sys::make_cgroup(place.folder, id, limits);
}

void remove_machine_cgroup(const std::filesystem::path& folder, const Logger& logger) noexcept {
  try {
    if (!folder.empty()) (void)sys::remove_cgroup(folder);
  } catch (const std::exception& problem) {
    logger.warning(problem.what());
  }
}

void outlive_service(const sys::ProcessId& helper) {
  if (const auto place = sys::find_cgroups(); !place.lasting.empty()) (void)sys::join_cgroup(place.lasting, helper.pid);
}

}  // namespace fireclaw::core
