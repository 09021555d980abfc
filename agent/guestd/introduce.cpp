#include "introduce.hpp"

#include <sys/utsname.h>

#include <ctime>

namespace fireclaw::guestd {

guest::wire::Hello introduce() {
  guest::wire::Hello hello;
  hello.guestd_version = GUESTD_VERSION;
  hello.features = guest::wire::feature_files | guest::wire::feature_steps;
  utsname names{};
  if (uname(&names) == 0) hello.kernel_release = names.release;
  timespec up{};
  clock_gettime(CLOCK_BOOTTIME, &up);
  hello.uptime_ms = static_cast<std::uint64_t>(up.tv_sec) * 1000 + static_cast<std::uint64_t>(up.tv_nsec) / 1000000;
  return hello;
}

}  // namespace fireclaw::guestd
