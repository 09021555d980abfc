#include "net/firewall/probe.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include <cstring>
#include <utility>

#include "fireclaw/error.hpp"
#include "net/firewall/nftables.hpp"
#include "net/links/netlink.hpp"
#include "sys/fd.hpp"

namespace fireclaw::net {

NetworkAbility can_manage_network() {
  NetworkAbility ability;
  const auto note = [&](std::string problem, std::string remedy) {
    ability.obstacles.push_back({std::move(problem), std::move(remedy)});
  };
  try {
    if (!Netlink{}.may_configure()) {
      note("no CAP_NET_ADMIN", "run as root, or in a user and network namespace (unshare -Urn), or use --net user");
    }
  } catch (const Error& error) {
    note(error.what(), "use --net user");
  }
  if (const sys::Fd tun{::open("/dev/net/tun", O_RDWR | O_CLOEXEC)}; tun.get() < 0) {
    note(fmt::format("cannot open /dev/net/tun ({})", std::strerror(errno)),
         "load the tun module (modprobe tun), and run as root or give the container the device");
  }
  if (const sys::Fd netfilter{::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER)}; netfilter.get() < 0) {
    note(fmt::format("no nftables ({})", std::strerror(errno)), "load the nf_tables module (modprobe nf_tables)");
  }
  // Loaded only if all else is there: it would be needed next then.
  if (ability.ok()) {
    try {
      static_cast<void>(NftLibrary::get());
    } catch (const Error& error) {
      note(error.what(), "apt-get install libnftables1");
    }
  }
  return ability;
}

}  // namespace fireclaw::net
