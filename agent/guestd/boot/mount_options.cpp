#include <sys/mount.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "boot/disks.hpp"
#include "text.hpp"

namespace fireclaw::guestd {
namespace {

constexpr std::array<std::pair<std::string_view, unsigned long>, 6> known_flags = {{{"nosuid", MS_NOSUID},
                                                                                    {"nodev", MS_NODEV},
                                                                                    {"noexec", MS_NOEXEC},
                                                                                    {"noatime", MS_NOATIME},
                                                                                    {"sync", MS_SYNCHRONOUS},
                                                                                    {"ro", MS_RDONLY}}};

bool has_nul(std::string_view text) { return text.find('\0') != std::string_view::npos; }

/// An absolute path to something below the root, without detours.
bool is_plain_path(std::string_view path) {
  if (path.empty() || path.front() != '/' || path.back() == '/') return false;
  const std::vector<std::string_view> names = split(path, '/');
  return std::all_of(names.begin(), names.end(), wire::is_plain_name);
}

wire::Done refused(std::string_view text, std::string_view why) { return {EINVAL, cat({"'", text, "' ", why})}; }

}  // namespace

wire::Done check_mount(const wire::Mount& request) {
  if (request.device.compare(0, 5, "/dev/") != 0 || !is_plain_path(request.device))
    return refused(request.device, "is not a name of a disk in /dev");
  if (!is_plain_path(request.target)) return refused(request.target, "is not a place to mount a disk at");
  if (!wire::is_plain_name(request.type)) return refused(request.type, "is not a type of file system");
  if (has_nul(request.options)) return refused(request.target, "cannot be mounted with options that hold NUL bytes");
  return {};
}

wire::Done check_unmount(const wire::Unmount& request) {
  return is_plain_path(request.target) ? wire::Done{}
                                       : refused(request.target, "is not a place where a disk is mounted");
}

MountOptions parse_mount_options(std::string_view options) {
  MountOptions parsed;
  for (const std::string_view option : split(options, ',')) {
    const auto known =
        std::find_if(known_flags.begin(), known_flags.end(), [&](const auto& flag) { return flag.first == option; });
    if (known != known_flags.end()) {
      parsed.flags |= known->second;
      continue;
    }
    if (!parsed.data.empty()) parsed.data += ',';
    parsed.data += option;
  }
  return parsed;
}

}  // namespace fireclaw::guestd
