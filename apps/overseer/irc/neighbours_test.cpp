#include "irc/neighbours.hpp"
#include "common/files/fd.hpp"

#include <doctest/doctest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

using namespace fireclaw::overseer;

TEST_CASE("connections within this machine are found by both of their ends") {
  // Port 6667 is 1A0B. The first two are the ends of one connection; of the third, only one end is here; the fourth is
  // over; then come the ends of another user's, and of one between a server of both kinds and an IPv4 client.
  const std::string tables =
      "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
      "   0: 0100007F:1A0B 0100007F:9C40 01 00000000:00000000 00:00000000 00000000   999        0 11 1 0\n"
      "   1: 0100007F:9C40 0100007F:1A0B 01 00000000:00000000 00:00000000 00000000  1000        0 12 1 0\n"
      "   2: 010010AC:1A0B 020010AC:9C41 01 00000000:00000000 00:00000000 00000000   999        0 13 1 0\n"
      "   3: 0100007F:9C42 0100007F:1A0B 06 00000000:00000000 00:00000000 00000000  1001        0 0 1 0\n"
      "   4: 00000000000000000000000001000000:1A0B 00000000000000000000000001000000:9C43 01 00000000:00000000 "
      "00:00000000 00000000   999        0 15 1 0\n"
      "   5: 00000000000000000000000001000000:9C43 00000000000000000000000001000000:1A0B 01 00000000:00000000 "
      "00:00000000 00000000  1002        0 16 1 0\n"
      "   6: 0000000000000000FFFF00000100007F:1A0B 0000000000000000FFFF00000100007F:9C44 01 00000000:00000000 "
      "00:00000000 00000000   999        0 17 1 0\n"
      "   7: 0100007F:9C44 0100007F:1A0B 01 00000000:00000000 00:00000000 00000000  1003        0 18 1 0\n"
      "nonsense\n";
  const auto found = neighbours_at(6667, tables);
  CHECK(found.users == std::set<uid_t>{1000, 1002, 1003});
  CHECK(found.sockets == std::set<std::uint64_t>{12, 16, 18});
  CHECK(neighbours_at(6668, tables).users.empty());
}

TEST_CASE("a server that only this user is connected to is known as such") {
  const fireclaw::cli::Fd listener{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  REQUIRE(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), size) == 0);
  REQUIRE(::listen(listener.get(), 4) == 0);
  REQUIRE(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
  const auto port = ntohs(address.sin_port);
  CHECK_FALSE(only_own_user_at(port));
  const fireclaw::cli::Fd client{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  REQUIRE(::connect(client.get(), reinterpret_cast<sockaddr*>(&address), size) == 0);
  const fireclaw::cli::Fd accepted{::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC)};
  REQUIRE(accepted);
  CHECK(only_own_user_at(port));
}
