#include "sys/sandbox/enter.hpp"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/mount.h>
#include <linux/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace fireclaw::sys::child {
namespace {

// <sys/mount.h> and <linux/mount.h> do not go together in every C library.
constexpr unsigned long ms_rec = 0x4000;
constexpr unsigned long ms_private = 1UL << 18;
constexpr unsigned long ms_nosuid = 2;
constexpr unsigned long ms_nodev = 4;
constexpr long detach = 2;

constexpr long folder_mode = 0755;
constexpr long file_mode = 0644;

/// A folder that every system has. The new root lies on it until it is the root.
constexpr const char* staging = "/proc";

FIRECLAW_UNSANITIZED int failed(Entry* entry, const char* step, const char* path, long result) {
  entry->step = step;
  entry->step_path = path;
  return static_cast<int>(-result);
}

FIRECLAW_UNSANITIZED int open_sources(Entry* entry) {
  for (std::size_t i = 0; i < entry->operation_count; ++i) {
    Operation& step = entry->operations[i];
    if (step.kind != Operation::Kind::Attach) continue;
    const long tree =
        call(SYS_open_tree, AT_FDCWD, word(step.source), OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
    if (tree < 0) return failed(entry, "bind", step.source, tree);
    step.mount = static_cast<int>(tree);
    mount_attr attributes{};
    attributes.attr_set = step.attributes;
    const long set =
        call(SYS_mount_setattr, tree, word(""), AT_EMPTY_PATH | AT_RECURSIVE, word(&attributes), sizeof attributes);
    if (set < 0) return failed(entry, "bind", step.source, set);
  }
  return 0;
}

FIRECLAW_UNSANITIZED int lay_out(Entry* entry, long root) {
  for (std::size_t i = 0; i < entry->operation_count; ++i) {
    Operation& step = entry->operations[i];
    long result = 0;
    switch (step.kind) {
      case Operation::Kind::MakeFolder: result = call(SYS_mkdirat, root, word(step.path), folder_mode); break;
      case Operation::Kind::MakeFile: result = call(SYS_mknodat, root, word(step.path), S_IFREG | file_mode, 0); break;
      case Operation::Kind::MakeLink: result = call(SYS_symlinkat, word(step.source), root, word(step.path)); break;
      case Operation::Kind::Attach:
        result = call(SYS_move_mount, step.mount, word(""), root, word(step.path), MOVE_MOUNT_F_EMPTY_PATH);
        call(SYS_close, step.mount);
        break;
    }
    if (result < 0 && result != -EEXIST) return failed(entry, "lay out", step.path, result);
  }
  return 0;
}

/// A user namespace made inside would come with capabilities in it, and so with more of the kernel to attack. Where
/// /proc/sys cannot be written, as in many containers, that stays possible.
FIRECLAW_UNSANITIZED void forbid_user_namespaces() {
  const long limit = call(SYS_openat, AT_FDCWD, word("/proc/sys/user/max_user_namespaces"), O_WRONLY | O_CLOEXEC);
  if (limit < 0) return;
  call(SYS_write, limit, word("0"), 1);
  call(SYS_close, limit);
}

FIRECLAW_UNSANITIZED int make_root(Entry* entry) {
  long result = call(SYS_mount, word("none"), word("/"), 0, ms_rec | ms_private);
  if (result < 0) return failed(entry, "make mounts private", nullptr, result);
  if (const int error = open_sources(entry); error != 0) return error;
  result = entry->root >= 0
               ? call(SYS_move_mount, entry->root, word(""), AT_FDCWD, word(staging), MOVE_MOUNT_F_EMPTY_PATH)
               : call(SYS_mount, word("none"), word(staging), word("tmpfs"), ms_nosuid | ms_nodev,
                      word("mode=0755,size=1m"));
  if (result < 0) return failed(entry, "make a root", nullptr, result);
  const long root = call(SYS_openat, AT_FDCWD, word(staging), O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (root < 0) return failed(entry, "make a root", nullptr, root);
  // The caller's mask would keep the process's own user out of the folders.
  const long mask = call(SYS_umask, 0);
  const int error = lay_out(entry, root);
  call(SYS_umask, mask);
  if (error != 0) return error;
  mount_attr attributes{};
  attributes.attr_set = MOUNT_ATTR_RDONLY;
  result = call(SYS_mount_setattr, root, word(""), AT_EMPTY_PATH, word(&attributes), sizeof attributes);
  if (result < 0) return failed(entry, "protect the root", nullptr, result);
  // The new root on the old one, which is then taken away from under it.
  result = call(SYS_fchdir, root);
  if (result >= 0) result = call(SYS_pivot_root, word("."), word("."));
  if (result >= 0) result = call(SYS_umount2, word("."), detach);
  if (result >= 0) result = call(SYS_chdir, word("/"));
  if (result < 0) return failed(entry, "enter the root", nullptr, result);
  call(SYS_close, root);
  return 0;
}

FIRECLAW_UNSANITIZED void drop_bounding_set() {
  for (long capability = 0; capability < 64; ++capability) {
    if (call(SYS_prctl, PR_CAPBSET_DROP, capability) < 0) break;
  }
}

}  // namespace

FIRECLAW_UNSANITIZED long call(long number, long a, long b, long c, long d, long e, long f) noexcept {
#if defined(__x86_64__)
  long result = number;
  register long fourth asm("r10") = d;
  register long fifth asm("r8") = e;
  register long sixth asm("r9") = f;
  asm volatile("syscall"
               : "+a"(result)
               : "D"(a), "S"(b), "d"(c), "r"(fourth), "r"(fifth), "r"(sixth)
               : "rcx", "r11", "memory");
  return result;
#else
  const long result = ::syscall(number, a, b, c, d, e, f);
  return result < 0 ? -errno : result;
#endif
}

FIRECLAW_UNSANITIZED int enter_root(Entry* entry) noexcept {
  if (!entry->namespaces) return 0;
  forbid_user_namespaces();
  if (const int error = make_root(entry); error != 0) return error;
  drop_bounding_set();
  if (entry->user < 0) return 0;
  long result = 0;
  if (entry->set_groups) result = call(SYS_setgroups, static_cast<long>(entry->group_count), word(entry->groups));
  if (result < 0) return failed(entry, "give up groups", nullptr, result);
  // A change of user takes this mark from the memory, which is the parent's too.
  const long dumpable = call(SYS_prctl, PR_GET_DUMPABLE);
  result = call(SYS_setresgid, entry->user, entry->user, entry->user);
  if (result >= 0) result = call(SYS_setresuid, entry->user, entry->user, entry->user);
  if (dumpable == 1) call(SYS_prctl, PR_SET_DUMPABLE, dumpable);
  if (result < 0) return failed(entry, "change the user", nullptr, result);
  // What it makes in its folders is for its caller, who is another user.
  call(SYS_umask, 0);
  return 0;
}

FIRECLAW_UNSANITIZED int give_up_privileges(Entry* entry) noexcept {
  for (std::size_t i = 0; i < entry->limit_count; ++i) {
    const rlimit64 limit{entry->limits[i].value, entry->limits[i].value};
    const long result = call(SYS_prlimit64, 0, entry->limits[i].resource, word(&limit), 0);
    if (result < 0) return failed(entry, "set limits", nullptr, result);
  }
  long result = call(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1);
  if (result < 0) return failed(entry, "forbid new privileges", nullptr, result);
  // Also where it has none now: as root of a user namespace it would have them again after exec.
  call(SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL);
  drop_bounding_set();
  __user_cap_header_struct header{};
  header.version = _LINUX_CAPABILITY_VERSION_3;
  const __user_cap_data_struct none[2] = {};
  result = call(SYS_capset, word(&header), word(&none));
  if (result < 0) return failed(entry, "give up capabilities", nullptr, result);
  if (entry->ruleset >= 0) {
    result = call(SYS_landlock_restrict_self, entry->ruleset, 0);
    if (result < 0) return failed(entry, "restrict with Landlock", nullptr, result);
  }
  return 0;
}

}  // namespace fireclaw::sys::child
