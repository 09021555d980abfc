#pragma once

#include <sys/types.h>
#include <cstdint>
#include <set>
#include <string>

namespace fireclaw::overseer {

/// The connections to a server on this machine that come from this machine.
struct Neighbours {
  /// The owners of the sockets.
  std::set<uid_t> users;
  /// The sockets themselves.
  std::set<std::uint64_t> sockets;
};

/// Those at this port, by what the kernel lists in `tables`: the texts of /proc/net/tcp and tcp6. A connection of which
/// only one end is on this machine does not count.
Neighbours neighbours_at(std::uint16_t port, const std::string& tables);

/// Whether all connections from this machine to a server on it belong to this process's user, and to ordinary programs:
/// an emulator or a gateway passes on connections of machines. Reads /proc.
bool only_own_user_at(std::uint16_t port);

}  // namespace fireclaw::overseer
