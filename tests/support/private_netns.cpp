// Linked into a test, this moves the whole process into its own network namespace before main() and before any thread
// exists, so that nothing the test does can reach the machine's network. With FIRECLAW_TEST_USERNS set, or without the
// right to do it directly, it first enters a user namespace in which the caller is root. Where neither is possible the
// test exits with status 77: skipped.

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

bool write_text(const char* path, const char* text) {
  const int fd = ::open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const auto size = static_cast<ssize_t>(std::strlen(text));
  const bool written = ::write(fd, text, static_cast<std::size_t>(size)) == size;
  ::close(fd);
  return written;
}

bool enter_user_namespace() {
  char uid_map[32];
  char gid_map[32];
  std::snprintf(uid_map, sizeof(uid_map), "0 %u 1", ::geteuid());
  std::snprintf(gid_map, sizeof(gid_map), "0 %u 1", ::getegid());
  return ::unshare(CLONE_NEWUSER) == 0 && write_text("/proc/self/setgroups", "deny") &&
         write_text("/proc/self/uid_map", uid_map) && write_text("/proc/self/gid_map", gid_map);
}

[[noreturn]] void skip() {
  std::printf("skipped: no network namespace of its own can be had here: %s\n", std::strerror(errno));
  std::exit(77);
}

__attribute__((constructor)) void enter_private_netns() {
  const bool forced = std::getenv("FIRECLAW_TEST_USERNS") != nullptr;
  if (!forced && ::unshare(CLONE_NEWNET) == 0) return;
  if (!enter_user_namespace() || ::unshare(CLONE_NEWNET) != 0) skip();
}

}  // namespace
