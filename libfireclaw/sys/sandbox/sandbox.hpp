#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace fireclaw::sys {

/// How far a process is shut in.
enum class Confinement {
  /// No capabilities, no new privileges, limits: what is to be had everywhere.
  None,
  /// The same, and Landlock: it reaches the files of its plan only.
  Landlock,
  /// The same, and namespaces: it has a root that holds nothing else.
  Full,
};

/// "none", "landlock", "full".
std::string_view to_string(Confinement level) noexcept;
/// nullopt for any other text.
std::optional<Confinement> confinement_from_string(std::string_view text) noexcept;

/// Something that the process sees, under the path that it has outside too.
struct SandboxEntry {
  enum class Kind {
    Folder,     ///< an empty folder
    ReadOnly,   ///< a file, or a folder with all in it
    ReadWrite,  ///< the same, to be changed
    Device,     ///< a device node, to be read and written
    Link,       ///< the symbolic link that is there outside
  };
  Kind kind = Kind::ReadOnly;
  std::filesystem::path path;
  /// Left out where it is not there. Otherwise that is an error.
  bool optional = false;

  bool operator==(const SandboxEntry&) const = default;
};

/// Limits of the process (setrlimit), in bytes and numbers.
struct SandboxLimits {
  /// The largest file that it may write.
  std::uint64_t file_bytes = std::uint64_t{64} << 20;
  std::uint64_t open_files = 2048;
  std::uint64_t locked_bytes = std::uint64_t{64} << 10;

  bool operator==(const SandboxLimits&) const = default;
};

/// How a process is to be confined: a plan, which nothing is done for until the process starts.
struct Sandbox {
  Confinement level = Confinement::None;
  /// All that it sees. Every path is absolute.
  std::vector<SandboxEntry> entries;
  /// A network namespace that leads nowhere; with Landlock no TCP. False: the caller's network.
  bool own_network = true;
  /// Full only: the user and group that it runs as, seen from outside. What it may read must be readable for others,
  /// what it writes writable. nullopt: the caller's.
  std::optional<uid_t> user;
  SandboxLimits limits;
  /// The folder of a cgroup (version 2) that it joins before anything else; empty: the caller's.
  std::filesystem::path cgroup;

  bool operator==(const Sandbox&) const = default;
};

/// The plan as lines of text, for tests and people.
std::vector<std::string> describe(const Sandbox& plan);

/// What `program` is run from: the file itself, and the system's libraries if it needs a loader.
/// Error(NotFound) if it is not there.
std::vector<SandboxEntry> program_entries(const std::filesystem::path& program);

/// What a user may be mapped to beside itself: any id for root, else the range that /etc/subuid and /etc/subgid give
/// it.
struct IdRange {
  uid_t first = 0;
  std::uint32_t count = 0;

  bool operator==(const IdRange&) const = default;
};
/// The range of the calling user that newuidmap and newgidmap (in `search_path`) can map; nullopt: none.
std::optional<IdRange> subordinate_ids(const std::vector<std::filesystem::path>& search_path);
/// The line of `file` (as /etc/subuid) for user `name` or its number `uid`; nullopt: none.
std::optional<IdRange> parse_subordinate_ids(std::string_view file, std::string_view name, uid_t uid);

/// How far this process can confine others, and why no further.
struct Confinable {
  Confinement level = Confinement::None;
  /// Why not Confinement::Full; empty if it is that.
  std::string obstacle;
  /// Ids that processes can be given; nullopt: they run as the calling user.
  std::optional<IdRange> ids;
  /// Why there are none; empty if there are.
  std::string ids_obstacle;
  /// Where this was found: confinement_context() then.
  std::string context;

  bool operator==(const Confinable&) const = default;
};
/// Describes this process's user, ids and root: elsewhere, as in a user namespace or in a
/// changed root, other things are possible.
std::string confinement_context();
/// Finds out by starting processes. `wanted`: the ids to use as root.
Confinable find_confinement(const IdRange& wanted, const std::vector<std::filesystem::path>& search_path);

/// What confines a running process, as /proc tells.
struct ConfinementSeen {
  uid_t user = 0;
  bool capabilities = false;
  bool no_new_privileges = false;
  /// Number of seccomp filters; 0: none.
  unsigned seccomp_filters = 0;
  /// Those of mnt, pid, net, user, ipc, uts that are not the caller's.
  std::vector<std::string> namespaces;
  std::string cgroup;

  bool operator==(const ConfinementSeen&) const = default;
};
/// Error(NotFound) if the process has ended.
ConfinementSeen see_confinement(pid_t pid);

}  // namespace fireclaw::sys
