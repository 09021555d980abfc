#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net/address.hpp"
#include "net/interface_name.hpp"
#include "sys/fd.hpp"

namespace fireclaw::net {

/// A packet that the firewall refused.
struct RefusedPacket {
  /// RefusalRule::name.
  std::string rule;
  /// The sender. The firewall guarantees it, unless the packet is spoofed.
  Ipv4Address source;
  Ipv4Address destination;
  /// "tcp", "udp", "icmp", "arp", or the protocol's number.
  std::string protocol;
  /// The destination's port; 0: none.
  std::uint16_t port = 0;
  /// The index of the machine's tap where the firewall knows it; 0: the bridge's rules did not see it.
  unsigned tap_index = 0;

  bool operator==(const RefusedPacket&) const = default;
};

/// Reads nfnetlink_log's report of one packet from a netlink message; nullopt if it is not one, or cannot be read.
std::optional<RefusedPacket> read_logged_packet(std::string_view message);

/// Receives the packets that the firewall of one bridge refuses, at the pace of its rules (ruleset.hpp). Works with
/// only a socket, as Openings does. Use from one thread.
class PacketLog {
 public:
  /// Whether the kernel can report them, with CAP_NET_ADMIN in the calling thread's network namespace.
  static bool is_available() noexcept;
  /// The socket, of the calling thread's network namespace. Error(Unsupported) without netfilter.
  static sys::Fd open_socket();

  /// Error(AlreadyExists) if another program receives them already; Error(PermissionDenied), Error(Io).
  PacketLog(const InterfaceName& bridge, sys::Fd socket);

  /// Readable when there are packets.
  [[nodiscard]] int fd() const noexcept { return socket_.get(); }
  /// The packets that have arrived, a bounded number.
  std::vector<RefusedPacket> read();
  /// The interface with this index in the socket's network namespace; empty if there is none.
  [[nodiscard]] std::string interface_name(unsigned index) const;

 private:
  sys::Fd socket_;
};

}  // namespace fireclaw::net
