#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace fireclaw::vmm::qemu {

/// "AuthenticAMD-25-1-1": what a guest's state depends on when its CPU is the host's, or its clock is.
std::string host_cpu_identity();

/// Measures the frequency of the host's time stamp counter, from construction on.
class TscMeter {
 public:
  TscMeter();
  /// In kHz, good to about 10 parts in a million; 0 if there is no such counter. Takes as long as is still missing
  /// from 5 ms.
  [[nodiscard]] std::uint64_t khz() const;

 private:
  std::chrono::steady_clock::time_point start_time_;
  std::uint64_t start_ticks_;
};

}  // namespace fireclaw::vmm::qemu
