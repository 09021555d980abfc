#include <fcntl.h>
#include <fmt/format.h>
#include <linux/landlock.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sys/file.hpp"
#include "sys/sandbox/layout.hpp"

namespace fireclaw::sys {
namespace {

// What headers older than the kernel lack.
constexpr std::uint64_t access_refer = 1ULL << 13;
constexpr std::uint64_t access_truncate = 1ULL << 14;
constexpr std::uint64_t access_ioctl_dev = 1ULL << 15;
constexpr std::uint64_t net_bind_and_connect = 0b11;
constexpr std::uint64_t scope_sockets_and_signals = 0b11;

constexpr std::uint64_t first_version_accesses = (1ULL << 13) - 1;
constexpr std::uint64_t read_file = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_EXECUTE;
constexpr std::uint64_t write_file = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | access_truncate;
constexpr std::uint64_t change_folder = LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG |
                                        LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_READ_DIR;

struct Attributes {
  std::uint64_t files = 0;
  std::uint64_t network = 0;
  std::uint64_t scoped = 0;
};

long landlock_version() noexcept {
  return ::syscall(SYS_landlock_create_ruleset, nullptr, std::size_t{0}, LANDLOCK_CREATE_RULESET_VERSION);
}

std::uint64_t handled_files(long version) {
  std::uint64_t accesses = first_version_accesses;
  if (version >= 2) accesses |= access_refer;
  if (version >= 3) accesses |= access_truncate;
  if (version >= 5) accesses |= access_ioctl_dev;
  return accesses;
}

std::uint64_t allowed(SandboxEntry::Kind kind, bool folder) {
  switch (kind) {
    case SandboxEntry::Kind::ReadOnly: return folder ? read_file | LANDLOCK_ACCESS_FS_READ_DIR : read_file;
    case SandboxEntry::Kind::ReadWrite: return folder ? write_file | change_folder : write_file;
    case SandboxEntry::Kind::Device: return write_file | access_ioctl_dev;
    case SandboxEntry::Kind::Folder:
    case SandboxEntry::Kind::Link: break;
  }
  return 0;
}

}  // namespace

bool has_landlock() noexcept { return landlock_version() >= 1; }

Fd make_ruleset(const Sandbox& plan) {
  const long version = landlock_version();
  if (version < 1) throw Error{ErrorCode::Unsupported, "this kernel has no Landlock, or it is turned off"};
  Attributes attributes;
  attributes.files = handled_files(version);
  if (version >= 4 && plan.own_network) attributes.network = net_bind_and_connect;
  if (version >= 6) attributes.scoped = scope_sockets_and_signals;
  const std::size_t size = version >= 6 ? sizeof attributes : version >= 4 ? 16 : 8;
  Fd ruleset{static_cast<int>(check(::syscall(SYS_landlock_create_ruleset, &attributes, size, 0), "make a ruleset"))};
  for (const auto& entry : plan.entries) {
    struct stat status {};
    if (::stat(entry.path.c_str(), &status) != 0) {
      if (entry.optional || entry.kind == SandboxEntry::Kind::Folder || entry.kind == SandboxEntry::Kind::Link)
        continue;
      throw_errno(fmt::format("look at '{}' for a sandbox", entry.path.string()));
    }
    const auto accesses = allowed(entry.kind, S_ISDIR(status.st_mode)) & attributes.files;
    // The path means the child's; Landlock looks at what its descriptors lead to.
    if (accesses == 0 || entry.path == own_descriptors) continue;
    const Fd path = open_file(entry.path, O_PATH);
    const landlock_path_beneath_attr rule{accesses, path.get()};
    check(::syscall(SYS_landlock_add_rule, ruleset.get(), LANDLOCK_RULE_PATH_BENEATH, &rule, 0),
          fmt::format("allow '{}'", entry.path.string()));
  }
  return ruleset;
}

}  // namespace fireclaw::sys
