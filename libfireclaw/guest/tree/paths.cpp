#include "guest/tree/paths.hpp"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>

namespace fireclaw::guest {
namespace {

std::string_view without_trailing_slashes(std::string_view path) {
  while (path.size() > 1 && path.back() == '/') path.remove_suffix(1);
  return path;
}

}  // namespace

void OwnedFd::reset(int fd) {
  if (fd_ >= 0) close(fd_);
  fd_ = fd;
}

Failure failure(int error, std::string_view doing, std::string_view name) {
  std::string message{doing};
  message.append(" '").append(name).append("': ");
  const std::size_t reason = message.size();
  const char* known = strerrordesc_np(error);
  message.append(known ? known : "unknown error");
  if (message[reason] >= 'A' && message[reason] <= 'Z')
    message[reason] = static_cast<char>(message[reason] + ('a' - 'A'));
  return {error, std::move(message)};
}

Failure refused(int error, std::string_view name, std::string_view why) {
  std::string message{"'"};
  message.append(name).append("' ").append(why);
  return {error, std::move(message)};
}

int open_at(Base base, const std::string& path, int flags) {
  flags |= O_CLOEXEC;
  if (!base.confine) return openat(base.root_fd, path.c_str(), flags);
  open_how how{};
  how.flags = static_cast<std::uint64_t>(flags);
  how.resolve = RESOLVE_IN_ROOT;
  return static_cast<int>(syscall(SYS_openat2, base.root_fd, path.c_str(), &how, sizeof how));
}

std::pair<std::string_view, std::string_view> split_path(std::string_view path) {
  path = without_trailing_slashes(path);
  const std::size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) return {".", path};
  return {slash == 0 ? "/" : without_trailing_slashes(path.substr(0, slash)), path.substr(slash + 1)};
}

std::string last_component(std::string_view path) {
  const std::string_view name = split_path(path).second;
  return std::string{wire::is_plain_name(name) ? name : std::string_view{}};
}

}  // namespace fireclaw::guest
