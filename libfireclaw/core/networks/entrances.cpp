#include "core/networks/entrances.hpp"

#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include <fmt/format.h>

#include "core/host/cgroups.hpp"
#include "fireclaw/error.hpp"

namespace fireclaw::core {
namespace {

// The numbers of descriptors in fireclaw-netd.
constexpr int until_number = 3;
constexpr int user_number = 4;
constexpr int network_number = 5;
constexpr int first_socket_number = 6;

/// Bound and, for TCP, listening; or the error.
struct Bound {
  std::optional<sys::Fd> fd;
  int error = 0;
};

Bound listen_at(int family, const net::Publication& port) {
  const bool tcp = port.protocol == net::Protocol::Tcp;
  const int number = ::socket(family, (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (number < 0) return {std::nullopt, errno};
  sys::Fd socket{number};
  const int yes = 1;
  // Connections of the past that linger are in nobody's way.
  if (tcp) sys::check(::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes), "SO_REUSEADDR");
  int result = 0;
  if (family == AF_INET6) {
    sys::check(::setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof yes), "IPV6_V6ONLY");
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    address.sin6_port = htons(port.host_port);
    address.sin6_addr = in6addr_loopback;
    result = ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  } else {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port.host_port);
    address.sin_addr.s_addr = htonl(port.host_address.bits());
    result = ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  }
  if (result == 0 && tcp) result = ::listen(socket.get(), SOMAXCONN);
  if (result != 0) return {std::nullopt, errno};
  return {std::move(socket), 0};
}

}  // namespace

void refuse_port(const net::Publication& port, int error) {
  switch (error) {
    case EADDRINUSE:
      throw Error{ErrorCode::AlreadyExists, fmt::format("cannot publish {}: a program on this host uses port {}",
                                                        port.to_string(), port.host_port)};
    case EADDRNOTAVAIL:
      throw Error{ErrorCode::InvalidArgument, fmt::format("cannot publish {}: this host has no address {}",
                                                          port.to_string(), port.host_address.to_string())};
    case EACCES:
      throw Error{ErrorCode::PermissionDenied,
                  fmt::format("cannot publish {}: only root may use port {}; choose another, or run as root",
                              port.to_string(), port.host_port)};
    default: throw sys::system_error(error, fmt::format("cannot publish {}", port.to_string()));
  }
}

Entrances Entrances::open(const std::vector<net::Publication>& ports, bool all) {
  Entrances entrances;
  const auto add = [&](int family, const net::Publication& port) {
    auto bound = listen_at(family, port);
    if (bound.fd) entrances.sockets_.push_back({std::move(*bound.fd), port});
    return bound.error;
  };
  for (const auto& port : ports) {
    if (all) {
      if (const int error = add(AF_INET, port); error != 0) refuse_port(port, error);
    }
    if (port.host_address != net::loopback_address && port.host_address != net::Ipv4Address{}) continue;
    const int error = add(AF_INET6, port);
    // There are hosts without IPv6.
    if (error != 0 && error != EADDRNOTAVAIL && error != EAFNOSUPPORT) refuse_port(port, error);
  }
  return entrances;
}

void Entrances::serve(const Host::Impl& host, net::Ipv4Address address, const sys::ProcessId& engine,
                      const Anchor* anchor, bool detached) {
  if (sockets_.empty()) return;
  const auto until = sys::open_pidfd(engine);
  if (!until) return;
  std::filesystem::path program;
  try {
    program = host.netd();
  } catch (const Error& problem) {
    if (anchor != nullptr) throw;
    // The firewall leads to 127.0.0.1 without it.
    host.logger.debug(fmt::format("published ports are not served on ::1: {}", problem.what()));
    sockets_.clear();
    return;
  }
  sys::SpawnSpec spec;
  spec.argv = {program.native(), "forward", std::to_string(until_number), "here"};
  spec.cwd = "/";
  spec.fds = {{until->get(), until_number}};
  if (anchor != nullptr) {
    spec.argv.back() = fmt::format("{},{}", user_number, network_number);
    spec.fds.emplace_back(anchor->namespaces().user.get(), user_number);
    spec.fds.emplace_back(anchor->namespaces().network.get(), network_number);
  }
  int number = first_socket_number;
  for (const auto& [fd, port] : sockets_) {
    spec.argv.push_back(
        fmt::format("{}={}/{}:{}", number, net::to_string(port.protocol), address.to_string(), port.guest_port));
    spec.fds.emplace_back(fd.get(), number++);
  }
  spec.die_with_parent = !detached;
  spec.new_session = true;
  server_.emplace(sys::Child::spawn(spec));
  if (detached) {
    outlive_service(server_->id());
    server_->detach();
  }
  sockets_.clear();
}

}  // namespace fireclaw::core
