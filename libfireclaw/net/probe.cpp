#include "net/probe.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include <cstring>

#include "fireclaw/error.hpp"
#include "net/netlink.hpp"
#include "sys/fd.hpp"

namespace fireclaw::net {

NetworkAbility can_manage_network() {
  NetworkAbility ability;
  try {
    if (!Netlink{}.may_configure()) {
      ability.obstacles.push_back(
          "no CAP_NET_ADMIN: run as root, or in a user and network namespace (unshare -Urn), or use --net user");
    }
  } catch (const Error& error) {
    ability.obstacles.push_back(error.what());
  }
  if (const sys::Fd tun{::open("/dev/net/tun", O_RDWR | O_CLOEXEC)}; tun.get() < 0) {
    ability.obstacles.push_back(
        fmt::format("cannot open /dev/net/tun ({}): load the tun module, and run as root or give the container the "
                    "device",
                    std::strerror(errno)));
  }
  if (const sys::Fd netfilter{::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER)}; netfilter.get() < 0) {
    ability.obstacles.push_back(fmt::format("no nftables ({}): load the nf_tables module", std::strerror(errno)));
  }
  return ability;
}

}  // namespace fireclaw::net
