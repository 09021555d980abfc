#pragma once

#include <chrono>
#include <span>
#include <vector>

#include "net/policy.hpp"
#include "sys/fd.hpp"

namespace fireclaw::net {

/// Opens destinations to single machines in a loaded firewall for a while: the addresses of allowed names. Works with
/// only a socket, so that a process outside the firewall's network namespace can use it; the process must belong to the
/// user who made that namespace, or have CAP_NET_ADMIN in it. Use from one thread.
class Openings {
 public:
  /// The socket, of the calling thread's network namespace. Error(Unsupported) without nftables.
  static sys::Fd open_socket();

  Openings(InterfaceName bridge, sys::Fd socket) : bridge_{std::move(bridge)}, socket_{std::move(socket)} {}

  /// Lets `vm` reach `destinations`, single addresses, until `lifetime` from now, however long they were open before.
  /// False if the firewall no longer knows the machine by this tap; nothing is opened then, since another machine may
  /// have its address. Error(PermissionDenied), Error(Io).
  bool open(const VmPolicy& vm, std::span<const Destination> destinations, std::chrono::milliseconds lifetime);

 private:
  InterfaceName bridge_;
  sys::Fd socket_;
};

}  // namespace fireclaw::net
