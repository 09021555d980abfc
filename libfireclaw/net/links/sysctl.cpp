#include "net/links/sysctl.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>

#include "fireclaw/error.hpp"
#include "sys/fd.hpp"

namespace fireclaw::net {
namespace {

std::string path_of(std::string_view name) { return fmt::format("/proc/sys/net/{}", name); }

}  // namespace

std::optional<std::string> read_sysctl(std::string_view name) {
  const auto path = path_of(name);
  const int opened = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (opened < 0 && (errno == ENOENT || errno == ENOTDIR)) return std::nullopt;
  const sys::Fd file{sys::check(opened, fmt::format("cannot open {}", path))};
  std::array<std::byte, 256> buffer{};
  const auto size = sys::read_some(file.get(), buffer);
  std::string value{reinterpret_cast<const char*>(buffer.data()), static_cast<std::size_t>(size)};
  while (!value.empty() && value.back() == '\n') value.pop_back();
  return value;
}

std::string set_sysctl(std::string_view name, std::string_view value) {
  const auto before = read_sysctl(name);
  if (!before) throw Error{ErrorCode::NotFound, fmt::format("this kernel has no setting net/{}", name)};
  if (*before == value) return *before;
  const auto path = path_of(name);
  int error = 0;
  if (const sys::Fd file{::open(path.c_str(), O_WRONLY | O_CLOEXEC)}; file.get() < 0) {
    error = errno;
  } else if (::write(file.get(), value.data(), value.size()) < 0) {
    error = errno;
  }
  if (error == 0) return *before;
  if (error == EACCES || error == EPERM || error == EROFS) {
    throw Error{ErrorCode::PermissionDenied,
                fmt::format("cannot set {} to {}: not permitted; run as root (in a container: set it on the host, or "
                            "mount /proc/sys writable), or use --net user",
                            path, value)};
  }
  throw sys::system_error(error, fmt::format("cannot set {} to {}", path, value));
}

}  // namespace fireclaw::net
