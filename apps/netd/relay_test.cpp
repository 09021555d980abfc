#include "relay.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "forward.hpp"
#include "hold.hpp"

using namespace fireclaw::netd;
using namespace std::chrono_literals;

namespace {

using Clock = std::chrono::steady_clock;

constexpr auto patience = 20s;

sockaddr_in loopback(std::uint16_t port = 0) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

sockaddr_in address_of(const Fd& socket) {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  check(::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &size), "getsockname");
  return address;
}

/// Bound to a free port; one of TCP listens.
Fd served(int type) {
  Fd socket{check(::socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "socket")};
  const auto address = loopback();
  check(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), "bind");
  if (type == SOCK_STREAM) check(::listen(socket.get(), 100), "listen");
  return socket;
}

Fd connected(int type, const sockaddr_in& to) {
  Fd socket{check(::socket(AF_INET, type | SOCK_CLOEXEC, 0), "socket")};
  check(::connect(socket.get(), reinterpret_cast<const sockaddr*>(&to), sizeof to), "connect");
  check(::fcntl(socket.get(), F_SETFL, O_NONBLOCK), "fcntl");
  return socket;
}

/// A relay from an entrance to a server, which is a socket of the test.
struct Led {
  explicit Led(int type, std::size_t most = 100) : server{served(type)} {
    Entrance entrance{served(type), type == SOCK_STREAM, address_of(server)};
    address = address_of(entrance.socket);
    std::vector<Entrance> entrances;
    entrances.push_back(std::move(entrance));
    relay.emplace(std::move(entrances), most);
  }

  /// Lets the relay work until `fd` is ready for `events`.
  void until(const Fd& fd, short events) {
    const auto end = Clock::now() + patience;
    for (;;) {
      REQUIRE(Clock::now() < end);
      std::array<pollfd, 2> watched{{{relay->fd(), POLLIN, 0}, {fd.get(), events, 0}}};
      check(::poll(watched.data(), watched.size(), 1000), "poll");
      if (watched[1].revents != 0) return;
      if (watched[0].revents != 0) relay->step();
    }
  }
  /// What comes next; empty at the end.
  std::string heard(const Fd& fd) {
    until(fd, POLLIN);
    std::array<char, 4096> bytes;
    const auto got = ::recv(fd.get(), bytes.data(), bytes.size(), 0);
    check(static_cast<int>(got), "recv");
    return {bytes.data(), static_cast<std::size_t>(got)};
  }
  /// errno of the next read, 0 if there is none.
  int problem(const Fd& fd) {
    until(fd, POLLIN);
    char byte = 0;
    return ::recv(fd.get(), &byte, 1, 0) < 0 ? errno : 0;
  }
  Fd accepted() {
    until(server, POLLIN);
    return Fd{check(::accept4(server.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK), "accept")};
  }
  [[nodiscard]] bool idle() const {
    pollfd watched{relay->fd(), POLLIN, 0};
    return ::poll(&watched, 1, 0) == 0;
  }

  Fd server;
  sockaddr_in address{};
  std::optional<Relay> relay;
};

void say(const Fd& fd, const std::string& text) {
  CHECK(::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size()));
}

/// A descriptor that is open, to be given away by its number.
std::string spare_descriptor() { return std::to_string(check(::open("/dev/null", O_RDWR | O_CLOEXEC), "open")); }

}  // namespace

TEST_CASE("an entrance is a descriptor, a protocol and an address with a port") {
  const auto number = spare_descriptor();
  const auto tcp = Entrance::parse(number + "=tcp/172.16.0.2:80");
  CHECK(tcp.socket.get() == std::stoi(number));
  CHECK(tcp.tcp);
  CHECK(ntohs(tcp.target.sin_port) == 80);
  CHECK(ntohl(tcp.target.sin_addr.s_addr) == 0xAC100002);
  CHECK(tcp.target.sin_family == AF_INET);
  const auto udp = Entrance::parse(spare_descriptor() + "=udp/127.0.0.1:65535");
  CHECK_FALSE(udp.tcp);
  CHECK(ntohs(udp.target.sin_port) == 65535);
}

TEST_CASE("what is not an entrance is refused, and quoted") {
  for (const std::string tail : {"",
                                 "=",
                                 "=tcp",
                                 "=tcp/",
                                 "=tcp/1.2.3.4",
                                 "=tcp/1.2.3.4:",
                                 "=tcp/1.2.3.4:0",
                                 "=tcp/1.2.3.4:65536",
                                 "=tcp/1.2.3.4:80x",
                                 "=tcp/1.2.3.4: 80",
                                 "=tcp/1.2.3.4:-1",
                                 "=tcp/1.2.3:80",
                                 "=tcp/::1:80",
                                 "=tcp/localhost:80",
                                 "=tcp/:80",
                                 "=sctp/1.2.3.4:80",
                                 "=TCP/1.2.3.4:80",
                                 "=/1.2.3.4:80",
                                 " =tcp/1.2.3.4:80",
                                 "x=tcp/1.2.3.4:80",
                                 "/tcp=1.2.3.4:80",
                                 ":80=tcp/1.2.3.4"}) {
    const auto text = spare_descriptor() + tail;
    CAPTURE(text);
    CHECK_THROWS_WITH_AS(Entrance::parse(text), ("not an entrance: " + text).c_str(), std::invalid_argument);
  }
  for (const std::string text : {"=tcp/1.2.3.4:80", "-1=tcp/1.2.3.4:80", "99999999999=tcp/1.2.3.4:80",
                                 " 3=tcp/1.2.3.4:80", "+3=tcp/1.2.3.4:80"}) {
    CAPTURE(text);
    CHECK_THROWS_WITH_AS(Entrance::parse(text), ("not an entrance: " + text).c_str(), std::invalid_argument);
  }
}

TEST_CASE("what is not a descriptor, a namespace or an entrance starts no forwarding") {
  using Words = std::vector<std::string>;
  const auto entrance = [] { return spare_descriptor() + "=tcp/1.2.3.4:80"; };
  for (const Words& words :
       {Words{}, Words{"0"}, Words{spare_descriptor(), "here"}, Words{"", "here", entrance()},
        Words{"x", "here", entrance()}, Words{"-1", "here", entrance()},
        Words{spare_descriptor() + "x", "here", entrance()}, Words{"99999999999", "here", entrance()},
        Words{spare_descriptor(), "", entrance()}, Words{spare_descriptor(), "there", entrance()},
        Words{spare_descriptor(), "-1,-1", entrance()}, Words{spare_descriptor(), ",", entrance()},
        Words{spare_descriptor(), "here", ""}}) {
    CAPTURE(words.size());
    CAPTURE(words.empty() ? "" : words.front());
    CHECK_THROWS_AS(forward(words), std::invalid_argument);
  }
  // Numbers of nothing that is open.
  CHECK_THROWS_AS(forward({spare_descriptor(), "1000,1001", entrance()}), std::system_error);
  CHECK_THROWS_AS(forward({spare_descriptor(), "here", "1000=tcp/1.2.3.4:80"}), std::system_error);
}

TEST_CASE("what is not a descriptor, a time or a service keeps no network") {
  using Words = std::vector<std::string>;
  const auto words = [](std::string ready, std::string idle, std::string services) {
    return Words{std::move(ready), "/nonexistent/lock", std::move(idle), "tap",
                 "10.0.0.1",       std::move(services), "/bin/true"};
  };
  for (const auto* services :
       {"tcp", "tcp/", "tcp/0", "tcp/65536", "tcp/99999", "tcp/80x", "tcp/-1", "icmp/80", "TCP/80", "80", "tcp/80,",
        "tcp/80,,udp/53", ",tcp/80", "tcp/80 ,udp/53", "", "none,tcp/80"}) {
    CAPTURE(services);
    CHECK_THROWS_AS(hold(words(spare_descriptor(), "60", services)), std::invalid_argument);
  }
  for (const auto* idle : {"", "x", "-1", "60s", "99999999999"}) {
    CAPTURE(idle);
    CHECK_THROWS_AS(hold(words(spare_descriptor(), idle, "none")), std::invalid_argument);
  }
  for (const auto* ready : {"", "x", "-1", "3x", "99999999999"}) {
    CAPTURE(ready);
    CHECK_THROWS_AS(hold(words(ready, "60", "none")), std::invalid_argument);
  }
  CHECK_THROWS_AS(hold(words("1000", "60", "none")), std::system_error);
  auto without_uplink = words(spare_descriptor(), "60", "none");
  without_uplink.pop_back();
  CHECK_THROWS_AS(hold(without_uplink), std::invalid_argument);
}

TEST_CASE("each end hears what the other says, and its end alone") {
  Led led{SOCK_STREAM};
  const auto client = connected(SOCK_STREAM, led.address);
  const auto inside = led.accepted();
  say(client, "question");
  CHECK(led.heard(inside) == "question");
  ::shutdown(client.get(), SHUT_WR);
  CHECK(led.heard(inside).empty());
  say(inside, "answer");
  CHECK(led.heard(client) == "answer");
  ::shutdown(inside.get(), SHUT_WR);
  CHECK(led.heard(client).empty());
  // And nothing is left to do for it.
  CHECK(led.idle());
}

TEST_CASE("much more than a buffer arrives both ways, whole and in order, at readers that are slow") {
  Led led{SOCK_STREAM};
  const auto client = connected(SOCK_STREAM, led.address);
  const auto inside = led.accepted();
  constexpr std::size_t much = 3'000'001;
  const auto byte_at = [](std::size_t at) { return static_cast<char>(at * 7 + at / 251); };
  struct Way {
    const Fd* from;
    const Fd* to;
    std::size_t sent = 0;
    std::size_t got = 0;
    bool ended = false;
  };
  std::array<Way, 2> ways{{{&client, &inside}, {&inside, &client}}};
  const auto end = Clock::now() + patience;
  // First as much as fits is written, so that the relay meets full ends.
  for (bool reads = false; !ways[0].ended || !ways[1].ended;) {
    REQUIRE(Clock::now() < end);
    bool moved = false;
    for (auto& way : ways) {
      std::string piece(std::min<std::size_t>(10'000, much - way.sent), 0);
      for (std::size_t i = 0; i < piece.size(); ++i) piece[i] = byte_at(way.sent + i);
      const auto sent = piece.empty() ? 0 : ::send(way.from->get(), piece.data(), piece.size(), MSG_NOSIGNAL);
      if (sent > 0) {
        moved = true;
        way.sent += static_cast<std::size_t>(sent);
        if (way.sent == much) ::shutdown(way.from->get(), SHUT_WR);
      }
      std::array<char, 3000> bytes;
      const auto got = reads && !way.ended ? ::recv(way.to->get(), bytes.data(), bytes.size(), 0) : -1;
      if (got == 0) way.ended = true;
      for (ssize_t i = 0; i < got; ++i) REQUIRE(bytes[static_cast<std::size_t>(i)] == byte_at(way.got++));
      if (got >= 0) moved = true;
    }
    if (!led.idle()) {
      led.relay->step();
      moved = true;
    }
    if (!moved) reads = true;
  }
  for (const auto& way : ways) CHECK(way.got == much);
}

TEST_CASE("what a reader is too slow for waits without work, and arrives when the reader reads") {
  Led led{SOCK_STREAM};
  const auto client = connected(SOCK_STREAM, led.address);
  const auto inside = led.accepted();
  const std::string piece(10'000, 'x');
  std::size_t sent = 0;
  const auto end = Clock::now() + patience;
  for (bool full = false; !full || !led.idle();) {
    REQUIRE(Clock::now() < end);
    led.relay->step();
    const auto count = ::send(client.get(), piece.data(), piece.size(), MSG_NOSIGNAL);
    full = count < 0;
    if (!full) sent += static_cast<std::size_t>(count);
  }
  CHECK(sent > piece.size());
  std::size_t got = 0;
  while (got < sent) got += led.heard(inside).size();
  CHECK(got == sent);
  say(client, "more");
  CHECK(led.heard(inside) == "more");
}

TEST_CASE("where nobody listens a client is told so at once") {
  Led led{SOCK_STREAM};
  led.server.reset();
  const auto client = connected(SOCK_STREAM, led.address);
  CHECK(led.problem(client) == ECONNRESET);
  CHECK(led.idle());
}

TEST_CASE("a client that is gone is gone for the server too, and the other way round") {
  Led led{SOCK_STREAM};
  for (const bool client_goes : {true, false}) {
    CAPTURE(client_goes);
    auto client = connected(SOCK_STREAM, led.address);
    auto inside = led.accepted();
    auto& goes = client_goes ? client : inside;
    auto& stays = client_goes ? inside : client;
    const linger at_once{1, 0};
    ::setsockopt(goes.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    goes.reset();
    led.until(stays, POLLIN | POLLRDHUP);
    char byte = 0;
    CHECK(::recv(stays.get(), &byte, 1, 0) <= 0);
    CHECK(led.idle());
  }
}

TEST_CASE("there are no more conversations than may be, and one that ends makes room") {
  for (const int type : {SOCK_STREAM, SOCK_DGRAM}) {
    CAPTURE(type);
    Led led{type, 2};
    if (type == SOCK_STREAM) {
      auto first = connected(type, led.address);
      const auto first_inside = led.accepted();
      const auto second = connected(type, led.address);
      const auto second_inside = led.accepted();
      const auto third = connected(type, led.address);
      CHECK(led.problem(third) == ECONNRESET);
      say(second, "still here");
      CHECK(led.heard(second_inside) == "still here");
      first.reset();
      CHECK(led.heard(first_inside).empty());
      ::shutdown(first_inside.get(), SHUT_WR);
      while (!led.idle()) led.relay->step();
      const auto fourth = connected(type, led.address);
      const auto fourth_inside = led.accepted();
      say(fourth, "room");
      CHECK(led.heard(fourth_inside) == "room");
      continue;
    }
    const auto first = connected(type, led.address);
    const auto second = connected(type, led.address);
    const auto third = connected(type, led.address);
    say(first, "1");
    CHECK(led.heard(led.server) == "1");
    say(second, "2");
    CHECK(led.heard(led.server) == "2");
    say(third, "3");
    say(first, "4");
    CHECK(led.heard(led.server) == "4");
  }
}

TEST_CASE("datagrams keep their sizes, and answers go to who asked") {
  Led led{SOCK_DGRAM};
  const auto alice = connected(SOCK_DGRAM, led.address);
  const auto bob = connected(SOCK_DGRAM, led.address);
  std::array<sockaddr_in, 2> seen{};
  std::size_t who = 0;
  for (const auto* client : {&alice, &bob}) {
    say(*client, "");
    led.until(led.server, POLLIN);
    socklen_t size = sizeof seen[who];
    CHECK(::recvfrom(led.server.get(), nullptr, 0, 0, reinterpret_cast<sockaddr*>(&seen[who]), &size) == 0);
    ++who;
  }
  CHECK(seen[0].sin_port != seen[1].sin_port);
  // In the other order than they asked.
  for (const auto& [at, client, answer] : {std::tuple{1, &bob, std::string(60'000, 'b')}, {0, &alice, "a"}}) {
    const auto& to = seen[static_cast<std::size_t>(at)];
    CHECK(::sendto(led.server.get(), answer.data(), answer.size(), 0, reinterpret_cast<const sockaddr*>(&to),
                   sizeof to) == static_cast<ssize_t>(answer.size()));
    led.until(*client, POLLIN);
    std::string got(70'000, 0);
    got.resize(static_cast<std::size_t>(std::max<ssize_t>(0, ::recv(client->get(), got.data(), got.size(), 0))));
    CHECK(got == answer);
  }
}

TEST_CASE("a client that sends datagrams is forgotten once neither end has said anything for two minutes") {
  Led led{SOCK_DGRAM, 1};
  const auto client = connected(SOCK_DGRAM, led.address);
  const auto other = connected(SOCK_DGRAM, led.address);
  say(client, "first");
  CHECK(led.heard(led.server) == "first");
  led.relay->forget_silent(Clock::now() + 119s);
  say(other, "no room");
  say(client, "second");
  CHECK(led.heard(led.server) == "second");
  led.relay->forget_silent(Clock::now() + 121s);
  say(other, "room");
  CHECK(led.heard(led.server) == "room");
}

TEST_CASE("few descriptors make few conversations, and almost none make none") {
  for (const auto& [descriptors, conversations] : {std::pair<std::size_t, std::size_t>{0, 0},
                                                   {20, 0},
                                                   {63, 0},
                                                   {64, 0},
                                                   {65, 0},
                                                   {66, 1},
                                                   {1024, 480},
                                                   {4096, 2016},
                                                   {1'000'000, 2016}}) {
    CAPTURE(descriptors);
    CHECK(conversations_with(descriptors) == conversations);
  }
}
