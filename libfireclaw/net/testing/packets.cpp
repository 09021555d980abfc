#include "net/testing/packets.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cctype>
#include <chrono>
#include <stdexcept>
#include <utility>

#include "fireclaw/error.hpp"
#include "sys/poll.hpp"

namespace fireclaw::net::testing {
namespace {

std::string bytes16(unsigned value) { return {static_cast<char>(value >> 8), static_cast<char>(value)}; }
std::string bytes32(std::uint32_t value) { return bytes16(value >> 16) + bytes16(value & 0xffff); }
std::string bytes_of(const MacAddress& mac) { return {mac.bytes().begin(), mac.bytes().end()}; }

std::uint16_t internet_checksum(std::string_view bytes) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    sum += static_cast<std::uint32_t>(static_cast<unsigned char>(bytes[i])) << (i % 2 == 0 ? 8 : 0);
  }
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<std::uint16_t>(~sum);
}

sockaddr_in socket_address(const std::string& address, std::uint16_t port) {
  sockaddr_in result{};
  result.sin_family = AF_INET;
  result.sin_port = htons(port);
  result.sin_addr.s_addr = htonl(Ipv4Address::parse(address).bits());
  return result;
}

sys::Fd make_socket(const Namespace& where, int type) {
  return where.in(
      [&] { return sys::Fd{sys::check(::socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "socket")}; });
}

void bind_to(int socket, const std::string& address, std::uint16_t port) {
  const int on = 1;
  ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  const auto local = socket_address(address, port);
  sys::check(::bind(socket, reinterpret_cast<const sockaddr*>(&local), sizeof(local)), "bind");
}

void await(int fd, short events, const std::string& what) {
  sys::require_fd(fd, events, Deadline::after(std::chrono::nanoseconds{patience}), what);
}

}  // namespace

Frame ethernet(const MacAddress& to, const MacAddress& from, std::uint16_t type, std::string_view payload) {
  auto frame = bytes_of(to) + bytes_of(from) + bytes16(type) + std::string{payload};
  if (frame.size() < ETH_ZLEN) frame.resize(ETH_ZLEN);
  return frame;
}

Frame with_vlan(const Frame& frame, std::uint16_t vlan) {
  return frame.substr(0, 12) + bytes16(0x8100) + bytes16(vlan) + frame.substr(12);
}

std::string arp(std::uint16_t operation, const MacAddress& sender_mac, Ipv4Address sender, const MacAddress& target_mac,
                Ipv4Address target) {
  return bytes16(1) + bytes16(0x0800) + std::string{"\x06\x04", 2} + bytes16(operation) + bytes_of(sender_mac) +
         bytes32(sender.bits()) + bytes_of(target_mac) + bytes32(target.bits());
}

std::string ipv4(Ipv4Address from, Ipv4Address to, std::uint8_t protocol, std::string_view payload) {
  const auto header = [&](std::uint16_t checksum) {
    return std::string{"\x45\0", 2} + bytes16(static_cast<unsigned>(20 + payload.size())) + bytes32(0) +
           std::string{'\x40', static_cast<char>(protocol)} + bytes16(checksum) + bytes32(from.bits()) +
           bytes32(to.bits());
  };
  return header(internet_checksum(header(0))) + std::string{payload};
}

std::string udp_header(std::uint16_t from_port, std::uint16_t to_port, std::string_view text) {
  return bytes16(from_port) + bytes16(to_port) + bytes16(static_cast<unsigned>(8 + text.size())) + bytes16(0) +
         std::string{text};
}

std::string udp4(Ipv4Address from, std::uint16_t from_port, Ipv4Address to, std::uint16_t to_port,
                 std::string_view text) {
  return ipv4(from, to, IPPROTO_UDP, udp_header(from_port, to_port, text));
}

std::string ipv6(const std::string& from, const std::string& to, std::uint8_t next_header, std::string_view payload) {
  std::string addresses(32, '\0');
  if (::inet_pton(AF_INET6, from.c_str(), addresses.data()) != 1 ||
      ::inet_pton(AF_INET6, to.c_str(), addresses.data() + 16) != 1) {
    throw std::runtime_error{"not an IPv6 address: " + from + " or " + to};
  }
  return bytes32(0x60000000) + bytes16(static_cast<unsigned>(payload.size())) +
         std::string{static_cast<char>(next_header), '\xff'} + addresses + std::string{payload};
}

Wire::Wire(const Namespace& where, const std::string& interface)
    : socket_{where.in([&] {
        // Without a protocol it is deaf until it is bound; with one it would hear every interface until then.
        return sys::Fd{sys::check(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "packet socket")};
      })} {
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ETH_P_ALL);
  address.sll_ifindex = static_cast<int>(where.in([&] { return ::if_nametoindex(interface.c_str()); }));
  sys::check(::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)), "bind " + interface);
}

void Wire::send(const Frame& frame) {
  sys::check(::send(socket_.get(), frame.data(), frame.size(), 0), "send a frame");
}

std::optional<Frame> Wire::take() {
  std::array<char, 4096> buffer{};
  sockaddr_ll from{};
  socklen_t size = sizeof(from);
  const auto got =
      sys::check(::recvfrom(socket_.get(), buffer.data(), buffer.size(), 0, reinterpret_cast<sockaddr*>(&from), &size),
                 "recvfrom");
  if (from.sll_pkttype == PACKET_OUTGOING) return std::nullopt;
  return Frame{buffer.data(), static_cast<std::size_t>(got)};
}

std::vector<Frame> Wire::until(std::string_view marker) {
  std::vector<Frame> frames;
  for (;;) {
    await(socket_.get(), POLLIN, fmt::format("the frame '{}'", marker));
    auto frame = take();
    if (!frame) continue;
    if (frame->find(marker) != Frame::npos) return frames;
    frames.push_back(*std::move(frame));
  }
}

std::vector<Frame> Wire::ask(const Frame& request, std::string_view marker) {
  constexpr std::chrono::milliseconds pause{100};
  std::vector<Frame> frames;
  for (auto left = patience / pause; left > 0; --left) {
    send(request);
    const auto again = Deadline::after(std::chrono::nanoseconds{pause});
    while (sys::wait_fd(socket_.get(), POLLIN, again) == sys::WaitResult::Ready) {
      auto frame = take();
      if (!frame) continue;
      if (frame->find(marker) != Frame::npos) return frames;
      frames.push_back(*std::move(frame));
    }
  }
  throw Error{ErrorCode::Timeout, fmt::format("no frame '{}' came", marker)};
}

Udp::Udp(const Namespace& where, const std::string& address, std::uint16_t port)
    : socket_{make_socket(where, SOCK_DGRAM)} {
  bind_to(socket_.get(), address, port);
}

void Udp::send(const std::string& address, std::uint16_t port, std::string_view text) {
  const auto target = socket_address(address, port);
  // An earlier datagram's ICMP answer may be reported by this call instead of by that one.
  for (int attempt = 0; attempt < 3;) {
    if (::sendto(socket_.get(), text.data(), text.size(), 0, reinterpret_cast<const sockaddr*>(&target),
                 sizeof(target)) >= 0) {
      return;
    }
    if (errno == EAGAIN) {
      // A flood that still waits for its way fills the socket.
      sys::require_fd(socket_.get(), POLLOUT, Deadline::after(patience), "room for a datagram");
    } else if (errno == ECONNREFUSED || errno == EHOSTUNREACH) {
      ++attempt;
    } else {
      break;
    }
  }
  sys::throw_errno("sendto " + address);
}

std::optional<Udp::Datagram> Udp::poll() {
  std::array<char, 4096> buffer{};
  sockaddr_in from{};
  socklen_t size = sizeof(from);
  const auto got =
      ::recvfrom(socket_.get(), buffer.data(), buffer.size(), 0, reinterpret_cast<sockaddr*>(&from), &size);
  if (got < 0) return std::nullopt;
  return Datagram{Ipv4Address::from_bits(ntohl(from.sin_addr.s_addr)).to_string(),
                  ntohs(from.sin_port),
                  {buffer.data(), static_cast<std::size_t>(got)}};
}

Udp::Datagram Udp::receive() {
  for (;;) {
    await(socket_.get(), POLLIN, "a datagram");
    if (auto datagram = poll()) return *std::move(datagram);
  }
}

std::vector<std::string> Udp::until(std::string_view marker) {
  std::vector<std::string> texts;
  for (;;) {
    auto datagram = receive();
    if (datagram.text == marker) return texts;
    texts.push_back(std::move(datagram.text));
  }
}

std::string to_string(Outcome outcome) {
  switch (outcome) {
    case Outcome::Connected: return "connected";
    case Outcome::Refused: return "refused";
    case Outcome::Unreachable: return "unreachable";
    case Outcome::TimedOut: return "timed out";
  }
  return "";
}

sys::Fd listen_tcp(const Namespace& where, const std::string& address, std::uint16_t port) {
  auto socket = make_socket(where, SOCK_STREAM);
  bind_to(socket.get(), address, port);
  sys::check(::listen(socket.get(), 16), "listen");
  return socket;
}

namespace {

std::pair<sys::Fd, Outcome> connect_tcp(const Namespace& where, const std::string& address, std::uint16_t port) {
  auto socket = make_socket(where, SOCK_STREAM);
  const auto target = socket_address(address, port);
  int error = 0;
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&target), sizeof(target)) != 0) {
    error = errno;
    if (error == EINPROGRESS) {
      if (sys::wait_fd(socket.get(), POLLOUT, Deadline::after(std::chrono::nanoseconds{patience})) ==
          sys::WaitResult::Timeout) {
        return {std::move(socket), Outcome::TimedOut};
      }
      socklen_t size = sizeof(error);
      sys::check(::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &size), "getsockopt");
    }
  }
  const auto outcome = error == 0              ? Outcome::Connected
                       : error == ECONNREFUSED ? Outcome::Refused
                       : error == ETIMEDOUT    ? Outcome::TimedOut
                                               : Outcome::Unreachable;
  return {std::move(socket), outcome};
}

std::string read_line(int fd) {
  std::string text;
  while (text.empty() || text.back() != '\n') {
    await(fd, POLLIN, "data on a connection");
    char c = 0;
    if (sys::check(::read(fd, &c, 1), "read") == 0) break;
    text += c;
  }
  return text;
}

}  // namespace

Outcome try_tcp(const Namespace& where, const std::string& address, std::uint16_t port) {
  return connect_tcp(where, address, port).second;
}

std::pair<int, int> segment_sizes(const Namespace& where, const std::string& address, std::uint16_t port, int server) {
  const auto [client, outcome] = connect_tcp(where, address, port);
  if (outcome != Outcome::Connected) throw std::runtime_error{"not connected: " + to_string(outcome)};
  await(server, POLLIN, "a connection");
  const sys::Fd accepted{sys::check(::accept4(server, nullptr, nullptr, SOCK_CLOEXEC), "accept")};
  const auto size_of = [](const sys::Fd& socket) {
    int size = 0;
    socklen_t length = sizeof size;
    sys::check(::getsockopt(socket.get(), IPPROTO_TCP, TCP_MAXSEG, &size, &length), "TCP_MAXSEG");
    return size;
  };
  return {size_of(client), size_of(accepted)};
}

std::string talk_tcp(const Namespace& where, const std::string& address, std::uint16_t port, int server,
                     const std::string& text) {
  const auto [client, outcome] = connect_tcp(where, address, port);
  if (outcome != Outcome::Connected) throw std::runtime_error{"not connected: " + to_string(outcome)};
  await(server, POLLIN, "a connection");
  const sys::Fd accepted{sys::check(::accept4(server, nullptr, nullptr, SOCK_CLOEXEC), "accept")};
  sys::write_all(client.get(), text + "\n");
  auto answer = read_line(accepted.get());
  for (auto& c : answer) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  sys::write_all(accepted.get(), answer);
  auto received = read_line(client.get());
  if (!received.empty()) received.pop_back();
  return received;
}

}  // namespace fireclaw::net::testing
