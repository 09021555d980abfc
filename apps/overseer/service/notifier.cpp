#include "service/notifier.hpp"

#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include <fmt/format.h>

#include "fireclaw/error.hpp"

namespace fireclaw::overseer {

Notifier::Notifier(const std::string& socket, const std::string& watchdog_usec) {
  if (socket.empty()) return;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if ((socket[0] != '/' && socket[0] != '@') || socket.size() >= sizeof address.sun_path) {
    throw Error{ErrorCode::InvalidArgument,
                fmt::format("NOTIFY_SOCKET '{}' is neither a path nor an abstract name", socket)};
  }
  std::memcpy(address.sun_path, socket.data(), socket.size());
  if (socket[0] == '@') address.sun_path[0] = '\0';
  const auto size = offsetof(sockaddr_un, sun_path) + socket.size() + (socket[0] == '/' ? 1 : 0);
  socket_ = cli::Fd{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  if (!socket_ ||
      ::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address), static_cast<socklen_t>(size)) != 0) {
    throw Error{ErrorCode::Io, fmt::format("NOTIFY_SOCKET '{}' cannot be reached: {}", socket, std::strerror(errno))};
  }
  std::uint64_t usec = 0;
  std::from_chars(watchdog_usec.data(), watchdog_usec.data() + watchdog_usec.size(), usec);
  if (usec > 1) watchdog_ = std::chrono::microseconds{usec / 2};
}

void Notifier::tell(std::string_view state) const {
  if (socket_) static_cast<void>(::send(socket_.get(), state.data(), state.size(), MSG_NOSIGNAL | MSG_DONTWAIT));
}

}  // namespace fireclaw::overseer
