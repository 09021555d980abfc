#include "net/firewall/openings.hpp"

#include <fmt/format.h>
#include <linux/netfilter.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "fireclaw/error.hpp"
#include "net/firewall/element_batch.hpp"

namespace fireclaw::net {

sys::Fd Openings::open_socket() {
  sys::Fd socket{::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER)};
  if (socket.get() < 0) {
    throw Error{ErrorCode::Unsupported, "this kernel has no nftables: load the nf_tables module, or use --net user"};
  }
  return socket;
}

bool Openings::open(const VmPolicy& vm, std::span<const Destination> destinations, std::chrono::milliseconds lifetime) {
  if (destinations.empty()) return true;
  ElementBatch batch{bridge_};
  // Fails if the machine is not there, and with it the whole transaction.
  batch.remove(NFPROTO_BRIDGE, "sources", source_key(vm));
  batch.add(NFPROTO_BRIDGE, "sources", source_key(vm));
  // An element that is there keeps its timeout: it is taken out, and comes back with the new one.
  const auto renew = [&](const char* set, const ElementKey& key) {
    batch.add(NFPROTO_INET, set, key, lifetime);
    batch.remove(NFPROTO_INET, set, key);
    batch.add(NFPROTO_INET, set, key, lifetime);
  };
  for (const auto& destination : destinations) {
    const auto address = destination.network.base();
    if (!destination.port) {
      renew("named_addresses", ElementKey{}.address(vm.address).address(address));
      continue;
    }
    for (const auto protocol : {Protocol::Tcp, Protocol::Udp}) {
      if (destination.protocol.value_or(protocol) != protocol) continue;
      renew("named_ports",
            ElementKey{}.address(vm.address).address(address).protocol(protocol).port(*destination.port));
    }
  }
  const int refused = batch.run(socket_.get());
  if (refused == 0) return true;
  if (refused == ENOENT) return false;
  throw Error{refused == EPERM ? ErrorCode::PermissionDenied : ErrorCode::Io,
              fmt::format("cannot open what a name was answered with: {}", std::strerror(refused))};
}

}  // namespace fireclaw::net
