#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>

/// What a child does between clone and exec to shut itself in: system calls only, since it runs in its parent's memory.
namespace fireclaw::sys::child {

/// The child runs in its parent's memory on a stack that sanitizers know nothing of.
#define FIRECLAW_UNSANITIZED \
  __attribute__((noinline, no_sanitize("address"), no_sanitize("thread"), no_sanitize("undefined")))

/// A system call that touches no errno, which the child shares with its parent. Negative: the error.
FIRECLAW_UNSANITIZED long call(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0,
                               long f = 0) noexcept;
/// The same with pointers among its arguments.
template <typename T>
long word(T* pointer) noexcept {
  return reinterpret_cast<long>(pointer);
}

/// One thing to be done for the process's root, in order. Paths have no leading slash: they are below the new root.
struct Operation {
  enum class Kind { MakeFolder, MakeFile, MakeLink, Attach };
  Kind kind;
  const char* path;
  /// MakeLink: where it leads. Attach: what is bound there.
  const char* source;
  /// Attach: MOUNT_ATTR_*.
  std::uint64_t attributes;
  /// Attach: the mount, while it is not in its place yet.
  int mount;
};

struct Limit {
  int resource;
  std::uint64_t value;
};

struct Entry {
  /// Full: namespaces were made by clone.
  bool namespaces;
  /// A file system to make the root on, which is mounted nowhere yet; negative: an empty one.
  int root;
  Operation* operations;
  std::size_t operation_count;
  /// The user and group to become within the user namespace; negative: stay.
  long user;
  /// Whether the supplementary groups become `groups`; otherwise they stay.
  bool set_groups;
  const gid_t* groups;
  std::size_t group_count;
  const Limit* limits;
  std::size_t limit_count;
  /// A Landlock ruleset; negative: none.
  int ruleset;
  /// Why it failed.
  const char* step;
  /// The path that it failed at; null: none.
  const char* step_path;
};

/// Before anything else of the child's: the root, and who it is. 0 or an errno; then `step` says what failed.
int enter_root(Entry* entry) noexcept;
/// Last before exec: privileges, limits, Landlock.
int give_up_privileges(Entry* entry) noexcept;

}  // namespace fireclaw::sys::child
