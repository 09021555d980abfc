#include "net/boot.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <ctime>

#include "sys/fd.hpp"
#include "sys/file.hpp"

namespace fireclaw::net {

std::string current_boot_id() {
  auto id = sys::read_file("/proc/sys/kernel/random/boot_id", 64);
  while (!id.empty() && id.back() == '\n') id.pop_back();
  return id;
}

bool written_before_boot(const std::filesystem::path& file) {
  struct stat status {};
  sys::check(::stat(file.c_str(), &status), fmt::format("look at '{}'", file.string()));
  timespec wall{};
  timespec since_boot{};
  sys::check(::clock_gettime(CLOCK_REALTIME, &wall), "read the clock");
  sys::check(::clock_gettime(CLOCK_BOOTTIME, &since_boot), "read the time since boot");
  return status.st_mtim.tv_sec < wall.tv_sec - since_boot.tv_sec - 1;
}

}  // namespace fireclaw::net
