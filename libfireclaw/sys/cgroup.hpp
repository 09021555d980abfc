#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

namespace fireclaw::sys {

/// Limits for all processes of a cgroup together (version 2). 0 or empty: no limit.
struct CgroupLimits {
  std::uint64_t memory_bytes = 0;
  unsigned processes = 0;
  /// 1 to 10000; others have 100.
  unsigned cpu_weight = 0;
  /// Lines of io.max, "8:0 rbps=1048576".
  std::vector<std::string> io_max;

  bool operator==(const CgroupLimits&) const = default;
};

/// A value for a file of a cgroup.
struct CgroupSetting {
  std::string_view file;
  std::string text;
  /// Left out if the file is missing: its controller is not handed on everywhere.
  bool optional = false;

  bool operator==(const CgroupSetting&) const = default;
};
/// The limits in the kernel's terms, in order: one write for each line of io.max.
std::vector<CgroupSetting> to_settings(const CgroupLimits& limits);

/// Where this process can make cgroups, or why it cannot.
struct CgroupPlace {
  /// The folder that they are made in; empty: there is none.
  std::filesystem::path folder;
  /// Why, and what gives it; empty if there is one.
  std::string obstacle;
  /// Where to put processes that are to outlive this process's service; empty: where they are started.
  std::filesystem::path lasting = {};

  bool operator==(const CgroupPlace&) const = default;
};

/// The slice that the services of an overseer are in, and the one of them that its machines are in.
inline constexpr std::string_view services_slice = "fireclaw.slice";
inline constexpr std::string_view machines_service = "fireclaw-agents.service";

/// For a process in a service of that slice: the cgroup of the service for machines, if it runs and gives it away
/// (Delegate=yes). Otherwise the highest cgroup around this process that it may divide. Makes "fireclaw" in it, and
/// hands on the controllers. If the processes of a service are in the way, they are moved to "programs" beside it.
/// Needs version 2 with the controllers memory and pids. `root` is "/" except in tests.
CgroupPlace find_cgroups(const std::filesystem::path& root = "/");

/// Makes the cgroup `name` in a place, with its limits. All of it is killed together if it runs out of memory. Throws
/// and leaves nothing if a limit cannot be set. Returns its folder.
std::filesystem::path make_cgroup(const std::filesystem::path& place, const std::string& name,
                                  const CgroupLimits& limits);
/// Moves a process into a cgroup. False: it stays where it was.
bool join_cgroup(const std::filesystem::path& folder, pid_t process);
/// Removes a cgroup without processes; a missing one is fine. False: there are processes in it.
bool remove_cgroup(const std::filesystem::path& folder);

/// The most memory that was used in it, in bytes; nullopt: the kernel does not say.
std::optional<std::uint64_t> cgroup_memory_peak(const std::filesystem::path& folder);

}  // namespace fireclaw::sys
