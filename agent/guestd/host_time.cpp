#include "host_time.hpp"

#include <fcntl.h>

#include <climits>
#include <ctime>
#include <string>

#include "guest/tree/tree.hpp"
#include "identity.hpp"
#include "text.hpp"

namespace fireclaw::guestd {
namespace {

constexpr std::int64_t second = 1000000000;
/// No multiple of a second, so that a clock of whole seconds is read at ever other parts of one.
constexpr std::int64_t look_every_ms = 9700;
constexpr int most_ptp_clocks = 4;

std::int64_t nanoseconds(clockid_t clock) {
  timespec time{};
  if (clock_gettime(clock, &time) < 0) return 0;
  return static_cast<std::int64_t>(time.tv_sec) * second + time.tv_nsec;
}

/// KVM tells its guests the host's time exactly.
bool read_kvm_clock(ClockSample& sample) {
  std::string name;
  for (int number = 0; number < most_ptp_clocks; ++number) {
    const std::string file = cat({"ptp", std::to_string(number)});
    if (!read_file(cat({"/sys/class/ptp/", file, "/clock_name"}).c_str(), name)) return false;
    if (name.find("KVM") == std::string::npos) continue;
    const guest::OwnedFd device{open(cat({"/dev/", file}).c_str(), O_RDONLY | O_CLOEXEC)};
    // How the kernel makes a clock's number of a descriptor: clock_getres(2), "dynamic clocks".
    if (device.open())
      sample.host = nanoseconds(static_cast<clockid_t>((~static_cast<unsigned>(device.get()) << 3) | 3));
    sample.resolution = 0;
    return sample.host > 0;
  }
  return false;
}

/// Read from sysfs, since the device is for one user at a time.
bool read_real_time_clock(ClockSample& sample) {
  std::string text;
  unsigned long seconds = 0;
  if (!read_file("/sys/class/rtc/rtc0/since_epoch", text)) return false;
  while (!text.empty() && text.back() == '\n') text.pop_back();
  if (!parse_number(text, LONG_MAX / second - 1, seconds) || seconds == 0) return false;
  sample.host = (static_cast<std::int64_t>(seconds) + 1) * second;
  sample.resolution = second;
  return true;
}

bool read_host(ClockSample& sample) { return read_kvm_clock(sample) || read_real_time_clock(sample); }

}  // namespace

void HostTime::tick(std::int64_t now) {
  if (now < next_look_) return;
  next_look_ = now + look_every_ms;
  const auto sample = read_together(
      {read_host, [] { return nanoseconds(CLOCK_REALTIME); }, [] { return nanoseconds(CLOCK_MONOTONIC); }});
  if (!sample) return;
  const auto right = keeper_.look(*sample);
  if (!right) return;
  if (const wire::Done set = set_clock(*right); set.error != 0) log({set.message});
}

}  // namespace fireclaw::guestd
