#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/host/impl.hpp"
#include "state/settings/sandbox.hpp"
#include "sys/file.hpp"

namespace fireclaw::core {

/// What machines take, or a host has left: the most memory that they may use, and the size that their scratch disks can
/// grow to.
struct Resources {
  std::uint64_t machines = 0;
  std::uint64_t memory_mib = 0;
  std::uint64_t disk_mib = 0;

  bool operator==(const Resources&) const = default;
};

/// Why a machine that takes `wanted` may not start if `taken` of the home folder's limits is taken already and `left`
/// of the host's memory and disk is left; empty if it may. Pure.
std::string refusal(const Resources& wanted, const Resources& taken, const Resources& left,
                    const state::LimitSettings& limits);

/// Error(InvalidState), with the numbers, if a machine that takes `wanted` may not start. `present_mib` of its disk is
/// on the host's disk already. Hold the result until the record says what the machine takes: no other
/// machine of this home folder is admitted meanwhile.
sys::FileLock admit(const Host::Impl& host, const state::LimitSettings& limits, const Resources& wanted,
                    std::uint64_t present_mib = 0);

}  // namespace fireclaw::core
