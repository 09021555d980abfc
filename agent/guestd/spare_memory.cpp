#include "spare_memory.hpp"

#include <dirent.h>

#include <limits>
#include <memory>
#include <string>
#include <string_view>

#include "loop.hpp"
#include "text.hpp"

namespace fireclaw::guestd {
namespace {

/// Before much has been read, and after the first command has begun: it does not wait for this.
constexpr std::int64_t first_look_ms = 1000;
constexpr std::string_view balloons = "/sys/bus/virtio/drivers/virtio_balloon";
/// The number of VIRTIO_BALLOON_F_REPORTING.
constexpr std::size_t reporting = 5;

/// Whether free memory goes back to the host by itself. sysfs has a device's features as one digit each.
bool gives_free_memory_back() {
  const std::unique_ptr<DIR, int (*)(DIR*)> folder{opendir(cat({balloons}).c_str()), closedir};
  if (!folder) return false;
  while (const dirent* entry = readdir(folder.get())) {
    std::string features;
    if (read_file(cat({balloons, "/", entry->d_name, "/features"}).c_str(), features) && features.size() > reporting &&
        features[reporting] == '1')
      return true;
  }
  return false;
}

}  // namespace

SpareMemory::SpareMemory()
    : wanted_{gives_free_memory_back()}, next_look_{wanted_ ? 0 : std::numeric_limits<std::int64_t>::max()} {
  // Free memory is reported in pieces of so many pages (a power of two) and more. The usual ones of 2 or 4 MiB miss
  // much of what programs leave behind. A kernel without it has no such file.
  write_file("/sys/module/page_reporting/parameters/page_reporting_order", "6");
}

void SpareMemory::told() {
  keeper_.told();
  if (wanted_) next_look_ = now_ms() + first_look_ms;
}

void SpareMemory::tick(std::int64_t now, std::int64_t next_wake) {
  if (now < next_look_) return;
  next_look_ = next_wake;
  std::string memory;
  std::string work;
  if (!read_file("/proc/meminfo", memory) || !read_file("/proc/stat", work)) return;
  if (!keeper_.look(cache_sample(now, memory, work))) return;
  // Content of files, and what is known of folders and files.
  if (!write_file("/proc/sys/vm/drop_caches", "3")) log({"files stay in memory"});
}

}  // namespace fireclaw::guestd
