#include "sys/socket.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "base/scope.hpp"
#include "sys/file.hpp"
#include "sys/poll.hpp"
#include "sys/random.hpp"

namespace fireclaw::sys {
namespace {

// Room for the path and its terminating zero in sun_path.
constexpr std::size_t longest_path = sizeof(sockaddr_un::sun_path) - 1;

sockaddr_un address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

int bind_to(int socket, const std::string& path) {
  const sockaddr_un address = address_of(path);
  return ::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address);
}

int connect_to(int socket, const std::string& path) {
  const sockaddr_un address = address_of(path);
  return ::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address);
}

// A path that does not fit into sun_path: bind under a short name through the folder's descriptor, then rename.
void bind_long(int socket, const std::filesystem::path& path, const std::string& what) {
  const std::filesystem::path parent = path.has_parent_path() ? path.parent_path() : ".";
  const Fd folder = open_file(parent, O_PATH | O_DIRECTORY);
  const std::string name = ".fireclaw-" + random_hex(8);
  check(bind_to(socket, fmt::format("/proc/self/fd/{}/{}", folder.get(), name)), what);
  ScopeGuard remove{[&] { ::unlinkat(folder.get(), name.c_str(), 0); }};
  check(::renameat2(folder.get(), name.c_str(), folder.get(), path.filename().c_str(), RENAME_NOREPLACE), what);
  remove.release();
}

}  // namespace

Fd unix_listen(const std::filesystem::path& path, int backlog) {
  const std::string what = fmt::format("listen on '{}'", path.string());
  Fd socket{check(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), what)};
  // Before the bind, which takes the file's mode from here: there is no moment when others could connect.
  check(::fchmod(socket.get(), 0600), what);
  if (path.native().size() > longest_path) {
    bind_long(socket.get(), path, what);
  } else if (bind_to(socket.get(), path.native()) < 0) {
    throw system_error(errno == EADDRINUSE ? EEXIST : errno, what);
  }
  if (::listen(socket.get(), backlog) < 0) {
    const int error = errno;
    ::unlink(path.c_str());
    throw system_error(error, what);
  }
  return socket;
}

Fd unix_connect(const std::filesystem::path& path, Links links, FullQueue queue) {
  const std::string what = fmt::format("connect to '{}'", path.string());
  const int flags = queue == FullQueue::Refuse ? SOCK_NONBLOCK : 0;
  Fd socket{check(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0), what)};
  if (links == Links::Follow && path.native().size() <= longest_path) {
    check(retry([&] { return connect_to(socket.get(), path.native()); }), what);
  } else {
    const Fd file{check(::open(path.c_str(), O_PATH | O_CLOEXEC | (links == Links::Refuse ? O_NOFOLLOW : 0)), what)};
    struct stat status {};
    check(::fstat(file.get(), &status), what);
    if (S_ISLNK(status.st_mode)) throw Error{ErrorCode::InvalidState, what + ": it is a link"};
    const std::string short_path = fmt::format("/proc/self/fd/{}", file.get());
    check(retry([&] { return connect_to(socket.get(), short_path); }), what);
  }
  return socket;
}

Fd unix_accept(int listener, Deadline deadline, const std::stop_token& stop) {
  for (;;) {
    require_fd(listener, POLLIN, deadline, "waiting for a connection", stop);
    const int client = retry([&] { return ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC); });
    if (client >= 0) return Fd{client};
    // Another thread took it, or the client has left again.
    if (errno != EAGAIN && errno != ECONNABORTED) throw_errno("accept a connection");
  }
}

Fd tcp_connect(const std::string& address, std::uint16_t port, Deadline deadline, const std::stop_token& stop) {
  sockaddr_in target{};
  target.sin_family = AF_INET;
  target.sin_port = htons(port);
  if (::inet_pton(AF_INET, address.c_str(), &target.sin_addr) != 1) {
    throw Error{ErrorCode::InvalidArgument, fmt::format("'{}' is not an IPv4 address", address)};
  }
  const auto what = fmt::format("connect to {}:{}", address, port);
  Fd socket{check(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "make a socket")};
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&target), sizeof target) == 0) return socket;
  if (errno != EINPROGRESS && errno != EINTR) throw_errno(what);
  require_fd(socket.get(), POLLOUT, deadline, what, stop);
  int problem = 0;
  socklen_t size = sizeof problem;
  check(::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &problem, &size), what);
  if (problem != 0) {
    errno = problem;
    throw_errno(what);
  }
  return socket;
}

std::pair<Fd, Fd> socket_pair() {
  int ends[2];
  check(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), "create a socket pair");
  return {Fd{ends[0]}, Fd{ends[1]}};
}

void send_with_fd(int socket, std::span<const std::byte> bytes, int fd) {
  if (bytes.empty()) throw Error{ErrorCode::Internal, "a descriptor can only be sent along with at least one byte"};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  // One struct serves sending and receiving; sending changes nothing.
  iovec piece{const_cast<std::byte*>(bytes.data()), bytes.size()};  // NOLINT(cppcoreguidelines-pro-type-const-cast)
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
  for (;;) {
    const ssize_t sent = retry([&] { return ::sendmsg(socket, &message, MSG_NOSIGNAL); });
    if (sent >= 0) return write_all(socket, bytes.subspan(static_cast<std::size_t>(sent)));
    if (errno != EAGAIN) throw_errno("send a descriptor");
    require_fd(socket, POLLOUT, Deadline::never(), "send a descriptor");
  }
}

}  // namespace fireclaw::sys
