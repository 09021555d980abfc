#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/host/impl.hpp"
#include "core/networks/anchor.hpp"
#include "net/policy.hpp"
#include "sys/fd.hpp"
#include "sys/process.hpp"

namespace fireclaw::core {

/// Throws an error that says why bind() refused a published port. Error(AlreadyExists) if it is taken,
/// Error(PermissionDenied) if this user may not have it, Error(InvalidArgument) if this host has no such address.
[[noreturn]] void refuse_port(const net::Publication& port, int error);

/// Published ports of one machine that a process of this host serves instead of the firewall: all ports if the network
/// is in an anchor, else those of ::1, which no firewall rule can connect to an IPv4 address.
/// Owns the sockets from open(), then the process; destruction ends it unless it was started detached.
class Entrances {
 public:
  /// Listens. `all`: on the ports' addresses too, not only on ::1 beside 127.0.0.1 and 0.0.0.0.
  /// What refuse_port() throws.
  static Entrances open(const std::vector<net::Publication>& ports, bool all);

  [[nodiscard]] bool empty() const { return sockets_.empty(); }
  /// Passes connections on to the machine at `address` until its engine has ended. `anchor`: where the machine is.
  void serve(const Host::Impl& host, net::Ipv4Address address, const sys::ProcessId& engine, const Anchor* anchor,
             bool detached);

 private:
  struct Socket {
    sys::Fd fd;
    net::Publication port;
  };
  std::vector<Socket> sockets_;
  std::optional<sys::Child> server_;
};

}  // namespace fireclaw::core
