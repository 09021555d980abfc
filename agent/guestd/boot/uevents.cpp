#include "boot/uevents.hpp"

#include <linux/netlink.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "loop.hpp"

namespace fireclaw::guestd {

Uevents::Uevents() : socket_{socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT)} {
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = 1;
  if (bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0) socket_.reset();
}

bool Uevents::drain() {
  bool any = false;
  char message[4096];
  for (;;) {
    const ssize_t got = recv(socket_.get(), message, sizeof message, 0);
    // ENOBUFS: some were lost, which is as good as one received.
    if (got < 0 && errno != ENOBUFS && errno != EINTR) return any;
    any = true;
  }
}

bool Uevents::wait_for(const char* path, std::int64_t limit_ms) {
  const std::int64_t deadline = now_ms() + limit_ms;
  while (access(path, F_OK) != 0) {
    const std::int64_t left = deadline - now_ms();
    if (left <= 0) return false;
    pollfd wait{socket_.get(), POLLIN, 0};
    if (poll(&wait, 1, static_cast<int>(left)) > 0) drain();
  }
  return true;
}

}  // namespace fireclaw::guestd
