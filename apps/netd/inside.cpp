#include "inside.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <array>
#include <cstring>
#include <exception>
#include <fstream>
#include <memory>
#include <string_view>

namespace fireclaw::netd {
namespace {

using Clock = std::chrono::steady_clock;

void write_text(const std::string& path, const std::string& text) {
  const Fd file{check(::open(path.c_str(), O_WRONLY | O_CLOEXEC), "open " + path)};
  if (::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) check(-1, "write " + path);
}

/// Within, this user is root.
void make_namespaces() {
  const auto user = std::to_string(::geteuid());
  const auto group = std::to_string(::getegid());
  check(::unshare(CLONE_NEWUSER | CLONE_NEWNET), "make a user and a network namespace");
  write_text("/proc/self/setgroups", "deny");
  write_text("/proc/self/uid_map", "0 " + user + " 1");
  write_text("/proc/self/gid_map", "0 " + group + " 1");
}

void bring_loopback_up() {
  const Fd socket{check(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "make a socket")};
  ifreq request{};
  std::memcpy(request.ifr_name, "lo", 3);
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  check(::ioctl(socket.get(), SIOCSIFFLAGS, &request), "bring loopback up");
}

void tell(const Fd& talk, char what, int fd = -1) {
  iovec piece{&what, 1};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  if (fd >= 0) {
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
  }
  check(static_cast<int>(::sendmsg(talk.get(), &message, MSG_NOSIGNAL)), "talk to the process outside");
}

/// Before the bridge has the gateway's address.
Fd serve(const std::string& gateway, const Service& service) {
  const auto type = (service.tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC | SOCK_NONBLOCK;
  Fd socket{check(::socket(AF_INET, type, 0), "make a socket")};
  const int yes = 1;
  check(::setsockopt(socket.get(), IPPROTO_IP, IP_FREEBIND, &yes, sizeof yes), "IP_FREEBIND");
  check(::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes), "SO_REUSEADDR");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(service.port);
  if (::inet_pton(AF_INET, gateway.c_str(), &address.sin_addr) != 1) throw std::runtime_error{"no address: " + gateway};
  const auto what = "serve port " + std::to_string(service.port);
  check(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), what);
  if (service.tcp) check(::listen(socket.get(), SOMAXCONN), what);
  return socket;
}

Fd watch_links_and_routes() {
  Fd socket{check(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE), "watch interfaces")};
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = RTMGRP_LINK | RTMGRP_IPV4_ROUTE;
  check(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), "watch interfaces");
  return socket;
}

/// A message that was lost changes nothing: what there is is looked up.
void drain(const Fd& socket) {
  std::array<char, 1 << 14> bytes;
  while (::recv(socket.get(), bytes.data(), bytes.size(), 0) > 0 || errno == ENOBUFS) {
    errno = 0;
  }
}

bool has_default_route() {
  std::ifstream routes{"/proc/self/net/route"};
  for (std::string line; std::getline(routes, line);) {
    if (line.find("\t00000000\t") != std::string::npos && line.find("\t00000000\t") < IFNAMSIZ) return true;
  }
  return false;
}

bool has_interface(const std::string& prefix) {
  const std::unique_ptr<struct if_nameindex, decltype(&::if_freenameindex)> all{::if_nameindex(), ::if_freenameindex};
  for (auto* one = all.get(); one != nullptr && one->if_index != 0; ++one) {
    if (std::string_view{one->if_name}.starts_with(prefix)) return true;
  }
  return false;
}

/// Whether nobody is about to use the network. If so, nobody will until this process has ended.
bool is_abandoned(const Inside& wanted, Fd& lock) {
  Fd file{::open(wanted.lock.c_str(), O_RDWR | O_CLOEXEC)};
  if (!file) return errno == ENOENT;
  if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0 || has_interface(wanted.taps)) return false;
  lock = std::move(file);
  return true;
}

}  // namespace

void keep_namespaces(const Inside& wanted, const Fd& talk) {
  try {
    make_namespaces();
    bring_loopback_up();
    for (const auto& service : wanted.services) tell(talk, service_message, serve(wanted.gateway, service).get());
    tell(talk, ready_message);
  } catch (const std::exception& problem) {
    const auto text = failure_message + std::string{problem.what()};
    ::send(talk.get(), text.data(), text.size(), MSG_NOSIGNAL);
    return;
  }
  const auto changes = watch_links_and_routes();
  bool routed = false;
  Fd lock;
  auto used = Clock::now();
  for (;;) {
    if (!routed && has_default_route()) {
      tell(talk, route_message);
      routed = true;
    }
    if (has_interface(wanted.taps)) used = Clock::now();
    if (Clock::now() - used >= wanted.idle) {
      if (is_abandoned(wanted, lock)) return;
      used = Clock::now();
    }
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(wanted.idle - (Clock::now() - used));
    std::array<pollfd, 2> watched{{{changes.get(), POLLIN, 0}, {talk.get(), POLLIN, 0}}};
    const int ready = ::poll(watched.data(), watched.size(), static_cast<int>(left.count()) + 1);
    if (ready < 0 && errno != EINTR) check(ready, "poll");
    if (watched[1].revents != 0) return;
    if (ready > 0) drain(changes);
  }
}

}  // namespace fireclaw::netd
