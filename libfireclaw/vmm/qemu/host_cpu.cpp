#include "vmm/qemu/host_cpu.hpp"

#include <fmt/format.h>

#include <array>
#include <cstring>
#include <thread>
#include <utility>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace fireclaw::vmm::qemu {
namespace {

using SteadyClock = std::chrono::steady_clock;

#if defined(__x86_64__)

// The counter and the clock at one moment: of a few readings the one that was interrupted least.
std::pair<SteadyClock::time_point, std::uint64_t> read_both() {
  std::pair<SteadyClock::time_point, std::uint64_t> best;
  std::uint64_t shortest = ~std::uint64_t{0};
  for (int i = 0; i < 5; ++i) {
    const std::uint64_t before = __builtin_ia32_rdtsc();
    const auto now = SteadyClock::now();
    const std::uint64_t took = __builtin_ia32_rdtsc() - before;
    if (took < shortest) {
      shortest = took;
      best = {now, before + took / 2};
    }
  }
  return best;
}

#else

std::pair<SteadyClock::time_point, std::uint64_t> read_both() { return {SteadyClock::now(), 0}; }

#endif

}  // namespace

std::string host_cpu_identity() {
#if defined(__x86_64__)
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  std::array<char, 12> vendor{};
  if (__get_cpuid(0, &a, &b, &c, &d) == 0) return "unknown";
  std::memcpy(vendor.data(), &b, 4);
  std::memcpy(vendor.data() + 4, &d, 4);
  std::memcpy(vendor.data() + 8, &c, 4);
  __get_cpuid(1, &a, &b, &c, &d);
  unsigned family = (a >> 8) & 0xf;
  unsigned model = (a >> 4) & 0xf;
  if (family == 0xf || family == 6) model |= ((a >> 16) & 0xf) << 4;
  if (family == 0xf) family += (a >> 20) & 0xff;
  return fmt::format("{}-{}-{}-{}", std::string_view{vendor.data(), vendor.size()}, family, model, a & 0xf);
#else
  return "unknown";
#endif
}

TscMeter::TscMeter() { std::tie(start_time_, start_ticks_) = read_both(); }

std::uint64_t TscMeter::khz() const {
  constexpr std::chrono::milliseconds enough{5};
  // A measurement needs time to pass; nothing is being waited for.
  std::this_thread::sleep_until(start_time_ + enough);
  const auto [time, ticks] = read_both();
  const std::chrono::duration<double, std::milli> elapsed = time - start_time_;
  return static_cast<std::uint64_t>(static_cast<double>(ticks - start_ticks_) / elapsed.count() + 0.5);
}

}  // namespace fireclaw::vmm::qemu
