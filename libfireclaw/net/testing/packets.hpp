#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net/address.hpp"
#include "net/testing/lab.hpp"
#include "sys/fd.hpp"

// Sockets and hand-made Ethernet frames for tests.

namespace fireclaw::net::testing {

/// Patience with what must happen; nothing waits this long unless the test is about to fail.
inline constexpr std::chrono::seconds patience{10};

using Frame = std::string;

inline const MacAddress everybody{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

/// type: 0x0800 IPv4, 0x0806 ARP, 0x86dd IPv6.
Frame ethernet(const MacAddress& to, const MacAddress& from, std::uint16_t type, std::string_view payload);
/// The same frame with an 802.1Q tag.
Frame with_vlan(const Frame& frame, std::uint16_t vlan);
std::string arp(std::uint16_t operation, const MacAddress& sender_mac, Ipv4Address sender, const MacAddress& target_mac,
                Ipv4Address target);
std::string ipv4(Ipv4Address from, Ipv4Address to, std::uint8_t protocol, std::string_view payload);
/// A UDP datagram in IPv4.
std::string udp4(Ipv4Address from, std::uint16_t from_port, Ipv4Address to, std::uint16_t to_port,
                 std::string_view text);
/// Addresses as inet_pton reads them. next_header: 17 UDP, 58 ICMPv6.
std::string ipv6(const std::string& from, const std::string& to, std::uint8_t next_header, std::string_view payload);
std::string udp_header(std::uint16_t from_port, std::uint16_t to_port, std::string_view text);

/// Sees all frames that an interface receives, and sends frames as they are.
class Wire {
 public:
  Wire(const Namespace& where, const std::string& interface);
  void send(const Frame& frame);
  /// The frames received up to and without the first that contains `marker`. Throws if it does not come.
  std::vector<Frame> until(std::string_view marker);
  /// The same for what answers `request`, which is sent again and again, as guests do: a port that has just come up can
  /// lose frames.
  std::vector<Frame> ask(const Frame& request, std::string_view marker);

 private:
  /// The next frame that somebody else has sent, if one is there.
  std::optional<Frame> take();

  sys::Fd socket_;
};

/// A UDP socket.
class Udp {
 public:
  /// Bound to `address` ("0.0.0.0" for any) and `port` (0 for any).
  Udp(const Namespace& where, const std::string& address, std::uint16_t port);
  void send(const std::string& address, std::uint16_t port, std::string_view text);
  struct Datagram {
    std::string from;
    std::uint16_t port;
    std::string text;
  };
  /// Throws if none comes.
  Datagram receive();
  /// The texts received before `marker` comes. Throws if it does not.
  std::vector<std::string> until(std::string_view marker);
  /// What is there already, without waiting.
  std::optional<Datagram> poll();

 private:
  sys::Fd socket_;
};

enum class Outcome { Connected, Refused, Unreachable, TimedOut };
std::string to_string(Outcome outcome);

/// The largest segments that the two ends of a connection to `server` agree on: the client's, the server's.
std::pair<int, int> segment_sizes(const Namespace& where, const std::string& address, std::uint16_t port, int server);

/// A TCP server that accepts nothing: the kernel completes the connections.
sys::Fd listen_tcp(const Namespace& where, const std::string& address, std::uint16_t port);
/// How an attempt to connect ends.
Outcome try_tcp(const Namespace& where, const std::string& address, std::uint16_t port);
/// Connects, sends `text`, lets `server` answer it in capitals, and returns the answer.
std::string talk_tcp(const Namespace& where, const std::string& address, std::uint16_t port, int server,
                     const std::string& text);

}  // namespace fireclaw::net::testing
