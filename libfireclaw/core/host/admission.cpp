#include "core/host/admission.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <filesystem>
#include <string_view>

#include <fmt/format.h>

#include "base/units.hpp"
#include "fireclaw/error.hpp"
#include "state/records/machines.hpp"
#include "sys/process.hpp"

namespace fireclaw::core {
namespace {

constexpr std::chrono::seconds turn_limit{30};

bool counts(const state::RunRecord& record) { return state::is_running(record) || sys::is_alive(record.owner); }

Resources taken_by(const state::RunRecord& record) { return {1, record.memory_mib, record.scratch_mib}; }

/// Available memory from /proc/meminfo, in KiB; the largest number if it does not say.
std::uint64_t available_kib() {
  const auto text = sys::read_file("/proc/meminfo");
  constexpr std::string_view key = "MemAvailable:";
  const auto at = text.find(key);
  std::uint64_t kib = ~std::uint64_t{0};
  if (at == std::string::npos) return kib;
  const auto begin = text.find_first_not_of(' ', at + key.size());
  if (begin != std::string::npos) std::from_chars(text.data() + begin, text.data() + text.size(), kib);
  return kib;
}

/// A machine that has a name keeps its scratch disk beside its record, the others in their run's folder.
std::filesystem::path scratch_of(const Host::Impl& host, const state::RunRecord& record) {
  if (!record.machine.empty()) {
    const state::MachineStore machines{host.layout.machines(), host.logger};
    if (const auto machine = machines.find(record.machine)) return machines.scratch_disk(machine->key);
  }
  return host.runs.directory(record.id) / "scratch.img";
}

/// What the scratch disk of a running machine may still grow by. One that is just being made has all of it before it.
std::uint64_t growth_mib(const Host::Impl& host, const state::RunRecord& record) {
  if (record.scratch_mib == 0) return 0;
  try {
    const auto allocated = sys::allocated_bytes(scratch_of(host, record)) / mib;
    return record.scratch_mib - std::min<std::uint64_t>(record.scratch_mib, allocated);
  } catch (const Error& problem) {
    if (problem.code() != ErrorCode::NotFound) throw;
    return record.scratch_mib;
  }
}

std::string beyond(std::string_view what, std::uint64_t wanted, std::uint64_t taken, std::uint64_t limit,
                   std::string_view unit, std::string_view setting) {
  return fmt::format(
      "it would take {} {} of {}, {} are taken, and this home folder's limit is {}; stop a machine, or change "
      "limits.{} in config.json",
      wanted, unit, what, taken, limit, setting);
}

}  // namespace

std::string refusal(const Resources& wanted, const Resources& taken, const Resources& left,
                    const state::LimitSettings& limits) {
  const auto exceeds = [](std::uint64_t more, std::uint64_t so_far, const std::optional<std::uint64_t>& limit) {
    return limit && (so_far > *limit || more > *limit - so_far);
  };
  if (exceeds(wanted.machines, taken.machines, limits.machines)) {
    return fmt::format(
        "{} machines run, and this home folder's limit is {}; stop one, or change limits.machines in config.json",
        taken.machines, *limits.machines);
  }
  if (exceeds(wanted.memory_mib, taken.memory_mib, limits.memory_mib)) {
    return beyond("memory", wanted.memory_mib, taken.memory_mib, *limits.memory_mib, "MiB", "memory_mib");
  }
  if (exceeds(wanted.disk_mib, taken.disk_mib, limits.disk_mib)) {
    return beyond("disk", wanted.disk_mib, taken.disk_mib, *limits.disk_mib, "MiB", "disk_mib");
  }
  if (wanted.memory_mib > left.memory_mib) {
    return fmt::format("it would take {} MiB of memory, and this host has {} MiB left", wanted.memory_mib,
                       left.memory_mib);
  }
  if (wanted.disk_mib > left.disk_mib) {
    return fmt::format(
        "its scratch disk may grow to {} MiB, and the home folder's file system has {} MiB left that running machines "
        "may not need",
        wanted.disk_mib, left.disk_mib);
  }
  return {};
}

sys::FileLock admit(const Host::Impl& host, const state::LimitSettings& limits, const Resources& wanted,
                    std::uint64_t present_mib) {
  auto turn = sys::FileLock::acquire(host.layout.lock("admission"), sys::FileLock::Mode::Exclusive,
                                     Deadline::after(std::chrono::nanoseconds{turn_limit}),
                                     "another machine's start in this home folder");
  Resources taken;
  std::uint64_t promised_mib = 0;
  // Without limits of its own, and without a disk, a machine is held against nothing that records tell.
  if (limits.any_total() || wanted.disk_mib != 0) {
    for (const auto& record : host.runs.list()) {
      if (!counts(record)) continue;
      const auto each = taken_by(record);
      taken.machines += each.machines;
      taken.memory_mib += each.memory_mib;
      taken.disk_mib += each.disk_mib;
      promised_mib += growth_mib(host, record);
    }
  }
  const auto decide = [&] {
    const auto free_mib = sys::free_bytes(host.layout.home()) / mib;
    const Resources left{0, available_kib() / 1024, free_mib - std::min(free_mib, promised_mib) + present_mib};
    return refusal(wanted, taken, left, limits);
  };
  auto reason = decide();
  // A machine that was just killed may still hold memory and disk, or have let go of them since.
  if (!reason.empty()) {
    static_cast<void>(host.endings.await_last());
    reason = decide();
  }
  if (!reason.empty()) throw Error{ErrorCode::InvalidState, fmt::format("the machine may not start: {}", reason)};
  return turn;
}

}  // namespace fireclaw::core
