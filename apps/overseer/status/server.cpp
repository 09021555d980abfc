#include "status/server.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <initializer_list>
#include <utility>

#include <fmt/format.h>

#include "base/number.hpp"
#include "fireclaw/error.hpp"

namespace fireclaw::overseer {
namespace {

constexpr std::size_t most_clients = 16;
constexpr std::size_t longest_request = 8192;
constexpr std::size_t longest_answer = 16 << 20;
constexpr std::chrono::seconds client_limit{5};
/// Until there may be descriptors again.
constexpr std::chrono::seconds full_pause{1};

[[noreturn]] void fail(const std::string& what) {
  throw Error{ErrorCode::Io, fmt::format("{}: {}", what, std::strerror(errno))};
}

bool is_any_of(int error, std::initializer_list<int> errors) {
  return std::ranges::find(errors, error) != errors.end();
}

/// Paths of sockets hold 107 bytes. Through the folder's descriptor any path is short enough.
struct UnixAddress {
  explicit UnixAddress(const std::filesystem::path& path)
      : folder{::open(path.parent_path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)} {
    if (!folder) fail(fmt::format("'{}'", path.parent_path().native()));
    address.sun_family = AF_UNIX;
    const auto text = fmt::format("/proc/self/fd/{}/{}", folder.get(), path.filename().native());
    if (text.size() >= sizeof address.sun_path) {
      throw Error{ErrorCode::InvalidArgument,
                  fmt::format("'{}' is too long for a socket's name", path.filename().native())};
    }
    std::memcpy(address.sun_path, text.c_str(), text.size() + 1);
  }
  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&address); }

  cli::Fd folder;
  sockaddr_un address{};
};

/// Removes what a process that is dead has left there, and nothing else: people mistype paths.
void clear(const std::filesystem::path& path, const UnixAddress& address) {
  const auto refuse = [&](std::string_view why) {
    throw Error{ErrorCode::AlreadyExists,
                fmt::format("'{}' {}; remove it if it is not needed, or name another path", path.native(), why)};
  };
  struct stat about {};
  if (::lstat(path.c_str(), &about) != 0) {
    if (errno == ENOENT) return;
    fail(fmt::format("'{}'", path.native()));
  }
  if (!S_ISSOCK(about.st_mode)) refuse("is there already, and is not a socket");
  const cli::Fd caller{::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
  if (!caller) fail("socket");
  if (::connect(caller.get(), address.get(), sizeof address.address) == 0 || errno != ECONNREFUSED) {
    refuse("is another process' socket");
  }
  if (::unlink(path.c_str()) != 0) fail(fmt::format("'{}' cannot be replaced", path.native()));
}

}  // namespace

cli::Fd listen_unix(const std::filesystem::path& path) {
  const UnixAddress address{path};
  clear(path, address);
  cli::Fd socket{::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
  if (!socket) fail("socket");
  // The mode of the socket's inode becomes the file's, so that it is nobody else's from the first moment.
  if (::fchmod(socket.get(), 0600) != 0 || ::bind(socket.get(), address.get(), sizeof address.address) != 0 ||
      ::listen(socket.get(), most_clients) != 0) {
    fail(fmt::format("'{}' cannot be listened on", path.native()));
  }
  return socket;
}

cli::Fd listen_loopback(const std::string& address) {
  const auto bad = [&] {
    return Error{
        ErrorCode::InvalidArgument,
        fmt::format("'{}' is not a place for metrics: use a loopback address with a port, as in 127.0.0.1:9464, or "
                    "the absolute path of a socket",
                    address)};
  };
  const auto colon = address.rfind(':');
  if (colon == std::string::npos) throw bad();
  const auto port = parse_number<std::uint16_t>(std::string_view{address}.substr(colon + 1));
  if (!port) throw bad();
  auto host = address.substr(0, colon);
  sockaddr_storage storage{};
  socklen_t size = 0;
  if (host.starts_with('[') && host.ends_with(']')) {
    auto& v6 = reinterpret_cast<sockaddr_in6&>(storage);
    host = host.substr(1, host.size() - 2);
    if (::inet_pton(AF_INET6, host.c_str(), &v6.sin6_addr) != 1 || !IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr)) throw bad();
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(*port);
    size = sizeof v6;
  } else {
    auto& v4 = reinterpret_cast<sockaddr_in&>(storage);
    if (::inet_pton(AF_INET, host.c_str(), &v4.sin_addr) != 1 || (ntohl(v4.sin_addr.s_addr) >> 24) != 127) throw bad();
    v4.sin_family = AF_INET;
    v4.sin_port = htons(*port);
    size = sizeof v4;
  }
  cli::Fd socket{::socket(storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
  const int yes = 1;
  if (!socket || ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0 ||
      ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&storage), size) != 0 ||
      ::listen(socket.get(), most_clients) != 0) {
    fail(fmt::format("'{}' cannot be listened on", address));
  }
  return socket;
}

std::string get_unix(const std::filesystem::path& path, std::string_view target) {
  const auto nobody = [&] {
    return Error{ErrorCode::NotFound,
                 fmt::format("no overseer answers at '{}'; start one with: fireclaw overseer", path.native())};
  };
  if (!std::filesystem::exists(path.parent_path())) throw nobody();
  const UnixAddress address{path};
  const cli::Fd socket{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  const timeval limit{client_limit.count(), 0};
  if (!socket || ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) != 0 ||
      ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) != 0) {
    fail("socket");
  }
  if (::connect(socket.get(), address.get(), sizeof address.address) != 0) throw nobody();
  const auto request = fmt::format("GET {} HTTP/1.0\r\n\r\n", target);
  if (::send(socket.get(), request.data(), request.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(request.size()))
    throw nobody();
  std::string answer;
  char buffer[8192];
  for (;;) {
    const auto got = ::recv(socket.get(), buffer, sizeof buffer, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw Error{ErrorCode::Timeout, fmt::format("the overseer at '{}' does not answer", path.native())};
    if (got == 0) break;
    answer.append(buffer, static_cast<std::size_t>(got));
    if (answer.size() > longest_answer)
      throw Error{ErrorCode::Corrupt, fmt::format("the answer at '{}' has no end", path.native())};
  }
  const auto body = answer.find("\r\n\r\n");
  if (!answer.starts_with("HTTP/1.0 200 ") || body == std::string::npos) {
    throw Error{ErrorCode::Corrupt, fmt::format("what answers at '{}' is not this version's overseer", path.native())};
  }
  return answer.substr(body + 4);
}

StatusServer::~StatusServer() {
  loop_.cancel(resuming_);
  for (const auto& [id, socket] : listeners_) loop_.cancel(id);
  while (!clients_.empty()) drop(clients_.begin()->first);
}

void StatusServer::add(cli::Fd listener) {
  const int fd = listener.get();
  listeners_.emplace(loop_.watch(fd, POLLIN, [this, fd](short) { accept_one(fd); }), std::move(listener));
}

void StatusServer::accept_one(int listener) {
  cli::Fd socket{::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)};
  if (!socket) {
    if (is_any_of(errno, {EMFILE, ENFILE, ENOBUFS, ENOMEM})) pause();
    return;
  }
  // The oldest has waited long enough.
  if (clients_.size() == most_clients) drop(clients_.begin()->first);
  const auto id = next_++;
  auto& client = clients_[id];
  client.socket = std::move(socket);
  client.watching = loop_.watch(client.socket.get(), POLLIN, [this, id](short) { on_ready(id); });
  client.timer = loop_.after(client_limit, [this, id] { drop(id); });
}

void StatusServer::pause() {
  // A waiting connection would wake the loop again and again, for nothing.
  const auto listen = [this](short events) {
    for (const auto& [id, socket] : listeners_) loop_.change(id, events);
  };
  listen(0);
  loop_.cancel(resuming_);
  resuming_ = loop_.after(full_pause, [this, listen] {
    resuming_ = 0;
    listen(POLLIN);
  });
}

void StatusServer::on_ready(ClientId id) {
  const auto found = clients_.find(id);
  if (found != clients_.end() && !serve(found->second)) drop(id);
}

bool StatusServer::serve(Client& client) {
  if (client.reply.empty()) {
    char buffer[2048];
    const auto got = ::recv(client.socket.get(), buffer, sizeof buffer, 0);
    if (got < 0) return errno == EAGAIN || errno == EINTR;
    if (got == 0) return false;
    client.request.append(buffer, static_cast<std::size_t>(got));
    if (client.request.size() > longest_request) return false;
    if (client.request.find("\r\n\r\n") == std::string::npos) return true;
    client.reply = reply_to(client.request);
  }
  const auto sent = ::send(client.socket.get(), client.reply.data(), client.reply.size(), MSG_NOSIGNAL);
  if (sent < 0 && errno != EAGAIN && errno != EINTR) return false;
  if (sent > 0) client.reply.erase(0, static_cast<std::size_t>(sent));
  loop_.change(client.watching, POLLOUT);
  return !client.reply.empty();
}

std::string StatusServer::reply_to(std::string_view request) const {
  const auto make = [](std::string_view status, std::string_view type, std::string_view body) {
    return fmt::format("HTTP/1.0 {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{}", status,
                       type, body.size(), body);
  };
  constexpr std::string_view get = "GET ";
  if (!request.starts_with(get)) return make("405 Method Not Allowed", "text/plain", "only GET is understood\n");
  request.remove_prefix(get.size());
  const auto page = pages_.find(request.substr(0, request.find_first_of(" ?\r")));
  if (page == pages_.end()) return make("404 Not Found", "text/plain", "there is no such page\n");
  const auto [type, body] = page->second();
  return make("200 OK", type, body);
}

void StatusServer::drop(ClientId id) {
  const auto found = clients_.find(id);
  if (found == clients_.end()) return;
  loop_.cancel(found->second.watching);
  loop_.cancel(found->second.timer);
  clients_.erase(found);
}

}  // namespace fireclaw::overseer
