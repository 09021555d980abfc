#include "sys/cgroup.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <sstream>

#include "base/scope.hpp"
#include "fireclaw/error.hpp"
#include "sys/fd.hpp"
#include "sys/file.hpp"

namespace fireclaw::sys {
namespace {

constexpr std::string_view place_name = "fireclaw";
constexpr std::string_view programs_name = "programs";
/// Without these a cgroup of our own is not worth its name.
constexpr std::string_view needed[] = {"memory", "pids"};
constexpr std::string_view welcome[] = {"cpu", "io"};

constexpr const char* what_gives_it =
    "run it in a service with Delegate=yes, or under: systemd-run --user --scope -p Delegate=yes";

std::string read_if_there(const std::filesystem::path& path) {
  try {
    return read_file(path, std::size_t{1} << 20);
  } catch (const Error&) {
    return {};
  }
}

/// One write, as the kernel wants it for these files. 0 or the errno.
int put(const std::filesystem::path& path, const std::string& text) {
  const int file = retry([&] { return ::open(path.c_str(), O_WRONLY | O_CLOEXEC); });
  if (file < 0) return errno;
  const Fd close_it{file};
  return retry([&] { return ::write(file, text.data(), text.size()); }) < 0 ? errno : 0;
}

bool has_word(std::string_view text, std::string_view word) {
  std::istringstream words{std::string{text}};
  for (std::string each; words >> each;) {
    if (each == word) return true;
  }
  return false;
}

bool may_divide(const std::filesystem::path& folder) {
  return ::access(folder.c_str(), W_OK) == 0 && ::access((folder / "cgroup.procs").c_str(), W_OK) == 0 &&
         ::access((folder / "cgroup.subtree_control").c_str(), W_OK) == 0;
}

/// A cgroup that hands on controllers has no processes itself. Those that are in `folder` move into one beneath.
int move_programs(const std::filesystem::path& folder) {
  const auto target = folder / programs_name;
  if (::mkdir(target.c_str(), 0755) != 0 && errno != EEXIST) return errno;
  std::istringstream pids{read_if_there(folder / "cgroup.procs")};
  for (std::string pid; pids >> pid;) {
    if (const int error = put(target / "cgroup.procs", pid); error != 0 && error != ESRCH) return error;
  }
  return 0;
}

int hand_on(const std::filesystem::path& folder, std::string_view controller, bool may_move) {
  if (has_word(read_if_there(folder / "cgroup.subtree_control"), controller)) return 0;
  const auto text = fmt::format("+{}", controller);
  int error = put(folder / "cgroup.subtree_control", text);
  if (error == EBUSY && may_move) {
    error = move_programs(folder);
    if (error == 0) error = put(folder / "cgroup.subtree_control", text);
  }
  return error;
}

/// Empty, or why `folder` cannot be divided. `may_move`: its processes are a service's, not all that there are.
std::string divide(const std::filesystem::path& folder, bool may_move) {
  for (const auto controller : needed) {
    if (!has_word(read_if_there(folder / "cgroup.controllers"), controller)) {
      return fmt::format("the controller '{}' is not to be had in {}", controller, folder.string());
    }
  }
  const auto place = folder / place_name;
  if (::mkdir(place.c_str(), 0755) != 0 && errno != EEXIST) {
    return system_error(errno, fmt::format("make '{}'", place.string())).what();
  }
  for (const auto& at : {folder, place}) {
    for (const auto controller : needed) {
      if (const int error = hand_on(at, controller, may_move); error != 0) {
        return system_error(error, fmt::format("hand on '{}' in {}", controller, at.string())).what();
      }
    }
    for (const auto controller : welcome) {
      if (has_word(read_if_there(at / "cgroup.controllers"), controller)) (void)hand_on(at, controller, may_move);
    }
  }
  return {};
}

/// The cgroups around this process, the highest first.
std::vector<std::filesystem::path> own_cgroups(const std::filesystem::path& root) {
  const auto text = read_if_there(root / "proc/self/cgroup");
  const auto at = text.starts_with("0::") ? 0 : text.find("\n0::");
  if (at == std::string::npos) return {};
  const auto begin = text.find("::", at) + 2;
  const std::filesystem::path own = text.substr(begin, text.find('\n', begin) - begin);
  auto folder = root / "sys/fs/cgroup";
  std::vector<std::filesystem::path> found{folder};
  for (const auto& part : own.relative_path()) found.push_back(folder /= part);
  return found;
}

/// The service for machines beside the one that this process is of. Taking a process from one to the other takes the
/// right to do so in the slice.
std::filesystem::path service_for_machines(const std::vector<std::filesystem::path>& around) {
  const auto slice = std::ranges::find(around, services_slice, &std::filesystem::path::filename);
  if (slice == around.end() || ::access((*slice / "cgroup.procs").c_str(), W_OK) != 0) return {};
  auto service = *slice / machines_service;
  return may_divide(service) ? service : std::filesystem::path{};
}

}  // namespace

CgroupPlace find_cgroups(const std::filesystem::path& root) {
  if (::access((root / "sys/fs/cgroup/cgroup.controllers").c_str(), F_OK) != 0) {
    return {
        {}, "there are no cgroups of version 2 in /sys/fs/cgroup; boot with systemd.unified_cgroup_hierarchy=1", {}};
  }
  std::string obstacle;
  std::filesystem::path lasting;
  const auto around = own_cgroups(root);
  if (const auto service = service_for_machines(around); !service.empty()) {
    obstacle = divide(service, true);
    lasting = service / programs_name;
    if (::mkdir(lasting.c_str(), 0755) != 0 && errno != EEXIST) lasting.clear();
    if (obstacle.empty()) return {service / place_name, {}, lasting};
  }
  for (const auto& folder : around) {
    if (!may_divide(folder)) continue;
    obstacle = divide(folder, folder != root / "sys/fs/cgroup");
    if (obstacle.empty()) return {folder / place_name, {}, lasting};
  }
  if (obstacle.empty()) obstacle = "no cgroup around this process is its user's to divide";
  return {{}, fmt::format("{}; {}", obstacle, what_gives_it), lasting};
}

std::vector<CgroupSetting> to_settings(const CgroupLimits& limits) {
  std::vector<CgroupSetting> settings;
  if (limits.memory_bytes != 0) {
    settings.push_back({"memory.max", std::to_string(limits.memory_bytes)});
    settings.push_back({"memory.oom.group", "1"});
  }
  if (limits.processes != 0) settings.push_back({"pids.max", std::to_string(limits.processes)});
  if (limits.cpu_weight != 0) settings.push_back({"cpu.weight", std::to_string(limits.cpu_weight), true});
  for (const auto& line : limits.io_max) settings.push_back({"io.max", line});
  return settings;
}

std::filesystem::path make_cgroup(const std::filesystem::path& place, const std::string& name,
                                  const CgroupLimits& limits) {
  auto folder = place / name;
  check(::mkdir(folder.c_str(), 0755), fmt::format("make cgroup '{}'", folder.string()));
  ScopeGuard undo{[&] { ::rmdir(folder.c_str()); }};
  for (const auto& setting : to_settings(limits)) {
    const int error = put(folder / setting.file, setting.text);
    if (error == 0 || (setting.optional && error == ENOENT)) continue;
    throw system_error(error, fmt::format("write '{}' to '{}'", setting.text, (folder / setting.file).string()));
  }
  undo.release();
  return folder;
}

bool join_cgroup(const std::filesystem::path& folder, pid_t process) {
  return put(folder / "cgroup.procs", std::to_string(process)) == 0;
}

bool remove_cgroup(const std::filesystem::path& folder) {
  if (::rmdir(folder.c_str()) == 0 || errno == ENOENT) return true;
  if (errno == EBUSY) return false;
  throw_errno(fmt::format("remove cgroup '{}'", folder.string()));
}

std::optional<std::uint64_t> cgroup_memory_peak(const std::filesystem::path& folder) {
  const auto text = read_if_there(folder / "memory.peak");
  std::uint64_t bytes = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), bytes);
  if (error != std::errc{}) return std::nullopt;
  return bytes;
}

}  // namespace fireclaw::sys
