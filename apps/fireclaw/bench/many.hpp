#pragma once

#include <chrono>
#include <cstdint>
#include <stop_token>
#include <string>
#include <vector>

#include "fireclaw/fireclaw.hpp"

namespace fireclaw::cli {

/// The cost of many machines that run at the same time.
struct Crowd {
  /// From the call to the moment when each had run `true`, sorted.
  std::vector<std::chrono::nanoseconds> ready;
  /// Memory that belongs to each engine alone, in the order of `ready`; 0 where the kernel does not say.
  std::vector<std::uint64_t> private_bytes;
  /// The size of their folders on disk, together.
  std::uint64_t disk_bytes = 0;
  /// CPU time of this process and the engines, from the first start to the last end.
  std::chrono::nanoseconds cpu_time{0};
  /// Starts and commands that failed, and the first one's error.
  unsigned failed = 0;
  std::string first_failure;

  /// The mean of private_bytes; 0 if none is ready.
  [[nodiscard]] std::uint64_t private_each() const;
};

/// Two a CPU.
unsigned default_at_once();

/// Starts `count` machines like `machine`, `at_once` of them side by side, runs `true` in each and keeps all of them
/// until the last is ready. Error(Cancelled).
Crowd start_crowd(const Host& host, const VMConfig& machine, unsigned count, unsigned at_once,
                  const std::stop_token& stop);

}  // namespace fireclaw::cli
